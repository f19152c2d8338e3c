"""Classes of a folder of masks: from their values, their colors, and the names in a file beside them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightseg.data.io.images import BrokenFileError
from lightseg.data.io.label_advice import Key
from lightseg.data.io.label_map import count_pixels
from lightseg.data.io.masks import LossyMaskError, palette_colors, read_mask, to_8_bit_colors, to_gray
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.files.printable import join_names
from lightseg.labels import IGNORE, Color
from lightseg.scaffold.class_names import ClassNames

MOST_LABELS = 64
"""Values or colors of masks above which they are no classes, unless a file names them."""

_DARK, _BRIGHT, _CLEAR = 64, 192, 0.9
"""Gray values that two classes with smooth edges hold, and least share of the pixels that hold them."""

_FEW_IDS = 64
"""Value below which ids with gaps are still ids, so that 255 beside them is void."""

_VOID_NAMES = frozenset(("void", "ignore", "ignored", "unlabeled", "unlabelled"))

_COLOR_NAMES: dict[Color, str] = {
    (0, 0, 0): "black",
    (255, 255, 255): "white",
    (255, 0, 0): "red",
    (0, 255, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
    (0, 255, 255): "cyan",
    (255, 0, 255): "magenta",
    (128, 128, 128): "gray",
    (128, 0, 0): "maroon",
    (0, 128, 0): "dark_green",
    (0, 0, 128): "navy",
    (128, 128, 0): "olive",
    (0, 128, 128): "teal",
    (128, 0, 128): "purple",
    (255, 128, 0): "orange",
}


@dataclass(frozen=True)
class Labels:
    """Options of a `MaskFolder` that declare its classes.

    Attributes:
        options: The options, `classes` first.
        reasons: Comment on each option that has one.
        summary: Description of the masks.
    """

    options: dict[str, Any]
    reasons: dict[str, str]
    summary: str


def find_labels(masks: Sequence[Path], names: ClassNames | None, channel: int | None = None) -> Labels:
    """Return the classes of masks.

    Args:
        masks: Some of the masks.
        names: Names in a file beside the data.
        channel: Channel of the masks that holds the values, as for `read_mask`.

    Raises:
        DataError: If the masks do not tell their classes; the message asks for what is missing.
    """
    try:
        counts = _count_all(masks, as_color=False, channel=channel)
    except LossyMaskError as error:
        return _smooth_labels(masks, channel, error)
    is_colored = any(isinstance(key, tuple) for count in counts.values() for key in count)
    palettes = {} if is_colored or channel is not None else _palette(counts)
    if is_colored or palettes is None:
        return _color_labels(masks[0].parent, _total(_count_all(masks, True, channel)), names)
    values = sorted(key for key in _total(counts) if isinstance(key, int))
    if len(values) > MOST_LABELS and not (names and len(values) <= len(names.names) + 1):
        return _smooth_labels(masks, channel)
    _require_one_object_value(masks[0].parent, counts.values())
    return _value_labels(masks[0].parent, values, names, palettes)


def count_labels(mask: Array) -> Counter[Key]:
    """Count the pixels of each value of a mask `(H, W)`, or of each color of `(H, W, 3)`; gray in RGB has values."""
    if mask.ndim == 3 and (mask == mask[..., :1]).all():
        mask = mask[..., 0]
    return count_pixels(mask)


def _count_all(masks: Sequence[Path], as_color: bool, channel: int | None) -> dict[Path, Counter[Key]]:
    """Return the pixel counts of each readable mask.

    Raises:
        DataError: If none is readable, or one is no mask.
    """
    counts, errors = dict[Path, Counter[Key]](), list[DataError]()
    for path in masks:
        try:
            mask = read_mask(path, as_color, channel)
        except BrokenFileError as error:
            # the doctor lists these
            errors.append(error)
            continue
        mask = to_8_bit_colors(path, mask) if mask.ndim == 3 else mask
        counts[path] = count_pixels(mask) if as_color else count_labels(mask)
    if not counts:
        raise errors[0]
    return counts


def _total(counts: Mapping[Path, Counter[Key]]) -> Counter[Key]:
    return sum(counts.values(), Counter())


def _palette(counts: Mapping[Path, Collection[Key]]) -> dict[int, Color] | None:
    """Return the palette color of each value; empty without palettes, None if they contradict each other."""
    colors: dict[int, Color] = {}
    for path, values in counts.items():
        palette = palette_colors(path) or []
        for value in values:
            if isinstance(value, int) and 0 <= value < len(palette):
                color = colors.setdefault(value, palette[value])
                if color != palette[value]:
                    return None
    return colors


def _value_labels(
    folder: Path, values: Sequence[int], names: ClassNames | None, palette: Mapping[int, Color]
) -> Labels:
    """Return the classes of masks that hold values.

    Raises:
        DataError: If there are fewer than two.
    """
    void = [value for value in values if value < 0 or _is_void(value, values)]
    class_values = [value for value in values if value not in void]
    name_of = _named_values(class_values, names) if names else None
    class_of = name_of or dict(zip(class_values, _default_names(class_values), strict=True))
    if names and name_of:
        void += [value for value, name in class_of.items() if name.lower() in _VOID_NAMES]
        class_of = {value: name for value, name in class_of.items() if value not in void}
    classes = list(dict.fromkeys(class_of.values()))
    _require_two(folder, classes, f"the value {(class_values or void)[0]}")
    options: dict[str, Any] = {"classes": classes}
    reasons = {"classes": _name_reason(names if name_of else None)}
    if list(class_of) != list(range(len(classes))) or palette:
        options["values"] = class_of
        reasons["values"] = "value in the masks: class; several values of one class merge"
    colors = {name: list(palette[value]) for value, name in class_of.items() if value in palette}
    if len(colors) == len(classes) == len(set(map(tuple, colors.values()))):
        options["colors"] = colors
        reasons["colors"] = "colors of the palette, which figures show"
    if set(void) - {IGNORE}:
        options["ignore"] = sorted(void)
    if void:
        voids = " and ".join(map(str, sorted(void)))
        reasons["ignore" if "ignore" in options else "classes"] = _join(
            reasons["classes"] if "ignore" not in options else "", f"{voids} is void: never trained on, never scored"
        )
    listed = join_names([str(value) for value in values], 12)
    return Labels(options, reasons, f"{'palette indices' if palette else 'values'} {listed}")


def _is_void(value: int, values: Sequence[int]) -> bool:
    """Return whether 255 is beside ids that are so small that it is none of them."""
    ids = [item for item in values if 0 <= item != IGNORE]
    return value == IGNORE and len(ids) > 1 and (max(ids) < _FEW_IDS or max(ids) < 2 * len(ids))


def _default_names(values: Sequence[int]) -> list[str]:
    if list(values) in ([0, 1], [0, IGNORE]):
        return ["background", "object"]
    return [f"class_{value}" for value in values]


def _named_values(values: Sequence[int], names: ClassNames) -> dict[int, str] | None:
    """Return the name of each value; None if the file does not fit the values."""
    if names.ids:
        name_of = dict(sorted(zip(names.ids, names.names, strict=True)))
    elif len(names.names) > values[-1]:
        name_of = dict(enumerate(names.names))
    elif len(names.names) == len(values):
        name_of = dict(zip(values, names.names, strict=True))
    elif len(names.names) == len(values) - 1 and values[0] == 0:
        name_of = dict(zip(values, ["background", *names.names], strict=True))
    else:
        return None
    return name_of if set(values) <= name_of.keys() else None


def _color_labels(folder: Path, counts: Counter[Key], names: ClassNames | None) -> Labels:
    """Return the classes of masks that hold colors.

    Raises:
        DataError: If they are too many, or fewer than two.
    """
    colors = sorted(key for key in counts if isinstance(key, tuple))
    class_of: dict[Color, str] = {}
    if names and set(colors) <= set(names.colors):
        class_of = dict(zip(names.colors, names.names, strict=True))
    elif len(colors) > MOST_LABELS:
        raise DataError(
            f"{folder}: the masks hold {len(colors)} colors, as after a resize or a JPEG; export them as PNG without "
            "smooth edges, or put a file classes.txt with lines `name R G B` into the folder"
        )
    is_named = bool(class_of)
    class_of = class_of or {color: _COLOR_NAMES.get(color, f"class_{i}") for i, color in enumerate(colors)}
    void = [list(color) for color, name in class_of.items() if name.lower() in _VOID_NAMES]
    by_class = {name: list(color) for color, name in class_of.items() if list(color) not in void}
    _require_two(folder, list(by_class), f"the color {list(colors[0])}")
    reason = _name_reason(names if is_named else None)
    options: dict[str, Any] = {"classes": list(by_class), "colors": by_class}
    reasons = {"classes": reason, "colors": "class: its color in the masks; a color that is void goes to ignore"}
    if void:
        options["ignore"], reasons["ignore"] = void, "never trained on, never scored"
    return Labels(options, reasons, f"{len(colors)} colors")


def _smooth_labels(masks: Sequence[Path], channel: int | None, error: DataError | None = None) -> Labels:
    """Return the two classes of masks with smooth edges or in a lossy format.

    Args:
        masks: Some of the masks.
        channel: Channel that holds the values.
        error: Error about the lossy format.

    Raises:
        DataError: If they do not hold two classes, one dark and one bright.
    """
    clear = total = values = 0
    for path in masks:
        gray = to_gray(path, read_mask(path, channel=channel, is_smooth=True))
        clear += int(((gray < _DARK) | (gray >= _BRIGHT)).sum()) if gray.max(initial=0) <= IGNORE else 0
        total, values = total + gray.size, max(values, len(np.unique(gray)))
    if clear < _CLEAR * total:
        raise error or DataError(
            f"{masks[0].parent}: the masks hold up to {values} values each, as instance ids or a resize leave them, "
            "and not class ids; export them with a value for each class"
        )
    reason = "the masks have smooth edges: gray from here on is the second class"
    reasons = {"classes": _name_reason(None), "threshold": reason}
    return Labels(
        {"classes": ["background", "object"], "threshold": 128}, reasons, "black and white, with smooth edges"
    )


def _require_one_object_value(folder: Path, counts: Iterable[Collection[Key]]) -> None:
    """Check that not 1 in some masks and 255 in others is the second of two classes.

    Raises:
        DataError: If it seems to be.
    """
    contents = [set(count) for count in counts]
    values = set[Key]().union(*contents)
    if values == {0, 1, IGNORE} and not any({1, IGNORE} <= content for content in contents):
        raise DataError(
            f"{folder}: some masks hold 1 and others 255; if both are the object, add --data.classes "
            '"[background, object]" --data.values "{0: background, 1: object, 255: object}"; if 255 is void, '
            "only the classes"
        )


def _require_two(folder: Path, classes: Sequence[str], only: str) -> None:
    if len(classes) < 2:
        raise DataError(f"{folder}: the masks hold only {only}, and a training needs two classes; give masks of both")


def _name_reason(names: ClassNames | None) -> str:
    return f"names of {names.file.name}" if names else "rename them in every line of data: the names are made up"


def _join(*texts: str) -> str:
    return "; ".join(filter(None, texts))
