"""Lookup from the values or colors of mask files to train ids; an undeclared value is an error, never a guess."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.io.label_advice import Declared, Key, advise, advise_0_255, looks_interpolated
from lightseg.data.io.mask_consistency import MaskValues
from lightseg.data.io.masks import palette_colors, read_mask, to_8_bit_colors, to_gray
from lightseg.data.types import Array
from lightseg.errors import ConfigError, DataError, did_you_mean, require
from lightseg.labels import IGNORE, Color

LookupTable = npt.NDArray[np.uint16]
"""Train id + 1 by value or packed color; 0: undeclared."""

_K = TypeVar("_K", int, Color)

MAX_CLASSES = 255
"""Greatest number of classes: train ids are bytes, and one of the 256 is void."""

_NUM_VALUES, _NUM_COLORS = 1 << 16, 1 << 24


class UndeclaredError(DataError):
    """Mask with values or colors that its label map does not declare.

    Args:
        message: The message.
        path: Path of the mask.
        pixel_counts: Pixels of every value or color of the file, whether declared or not.
        undeclared: Values or colors that are not declared.
        is_interpolated: Whether so many are undeclared that a resize, smooth edges or a JPEG is the likeliest cause.
    """

    # a message alone must do: torch makes it the only argument when it raises an error of a loading process again
    def __init__(
        self,
        message: str,
        path: str = "",
        pixel_counts: Mapping[Key, int] | None = None,
        undeclared: Iterable[Key] = (),
        is_interpolated: bool = False,
    ) -> None:
        super().__init__(message)
        self.path, self.pixel_counts = path, Counter(pixel_counts)
        self.undeclared, self.is_interpolated = set(undeclared), is_interpolated

    @property
    def is_colored(self) -> bool:
        """Return whether the mask holds colors, not values."""
        return any(isinstance(key, tuple) for key in self.pixel_counts)


class LabelMap:
    """Lookup from the values or colors of mask files to train ids 0..C-1 and `IGNORE`.

    Args:
        classes: Class names; a class's train id is its index in this list.
        values: File value → class name; several values of one class merge. None: values are train ids.
        colors: Class name → its RGB color, or a list of colors. With `colors` alone, masks are read by color, palette
            files included; beside `values`, they serve RGB files and figures.
        ignore: Values and RGB colors that are void. None: value 255, unless `values` names it.
        threshold: Least gray value of the brighter of two classes; lossy files are accepted with it.
        channel: Channel of the files that holds the values, from 0 on, or `alpha`; None: all of them.

    Raises:
        ConfigError: If the options contradict each other or name an unknown class.
    """

    def __init__(
        self,
        classes: Sequence[str],
        values: Mapping[int, str] | None = None,
        colors: Mapping[str, Sequence[int] | Sequence[Sequence[int]]] | None = None,
        ignore: Sequence[int | Sequence[int]] | None = None,
        threshold: int | None = None,
        channel: int | Literal["alpha"] | None = None,
    ) -> None:
        self.classes = checked_classes(classes)
        self.by_color = bool(colors) and values is None
        self._has_declaration = bool(colors) or values is not None
        value_ids, color_ids = _declared_ids(self.classes, values, colors)
        _require_compatible(channel, threshold, has_colors=bool(colors), has_ignore=bool(ignore))
        self._threshold, self._channel = threshold, -1 if channel == "alpha" else channel
        if threshold is not None:
            value_ids = _two_sides(value_ids, threshold)
        void_values, void_colors = _void_entries(ignore)
        if ignore is None and IGNORE not in value_ids and threshold is None:
            void_values = [IGNORE]
        # 255 is void by default, whether 0 and 1 are declared or not
        self._has_default_void = value_ids.keys() == set(range(len(self.classes))) and not colors and ignore is None
        self._values = _with_void(value_ids, void_values, self.classes, has_declaration=self._has_declaration)
        self._colors = _with_void(color_ids, void_colors, self.classes, has_declaration=True)
        if any(not -(1 << 63) <= value < 1 << 63 for value in self._values):
            raise ConfigError(f"data.values, data.ignore: {sorted(self._values)}: a mask value has at most 64 bits")
        # values outside the table, such as -9999, are looked up one by one
        self._values_beyond_table = {value: i for value, i in self._values.items() if not 0 <= value < _NUM_VALUES}
        self._value_table = _lookup_table(
            {value: i for value, i in self._values.items() if 0 <= value < _NUM_VALUES}, _NUM_VALUES
        )
        # 2^24 entries, of which the system backs only the touched pages with memory
        self._color_table = _lookup_table(
            {_pack_color(color): i for color, i in self._colors.items()}, _NUM_COLORS if color_ids else 0
        )

    def read(self, path: Path | str) -> npt.NDArray[np.uint8]:
        """Read a mask file as train ids `(H, W)`.

        Raises:
            DataError: If the file is broken.
            UndeclaredError: If a value or color is not declared; the message has the config line that declares it.
        """
        return self.to_train_ids(path, self.file_values(path))

    def to_train_ids(self, path: Path | str, mask: Array) -> npt.NDArray[np.uint8]:
        """Look up the train ids `(H, W)` of the result of `file_values`.

        Args:
            path: The mask file, for messages.
            mask: Values `(H, W)` integer, or colors `(H, W, 3)` uint8.

        Raises:
            UndeclaredError: If a value or color is not declared; the message has the config line that declares it.
        """
        if mask.ndim == 2:
            entries = self._look_up_values(mask)
        elif self._color_table.size:
            entries = np.take(self._color_table, _pack_colors(mask))
        else:
            entries = np.zeros(1, np.uint16)
        if not entries.min():
            raise self.undeclared_error(str(path), count_pixels(mask))
        return (entries - 1).astype(np.uint8)

    def file_values(self, path: Path | str) -> Array:
        """Read a mask file as its values `(H, W)` integer, or its colors `(H, W, 3)` uint8.

        Raises:
            DataError: If the file is broken.
        """
        mask = read_mask(path, self.by_color, self._channel, self._threshold is not None)
        if self._threshold is not None:
            return self._apply_threshold(path, to_gray(path, mask))
        if mask.ndim == 2:
            return mask
        if not self._colors and (mask == mask[..., :1]).all():
            return np.ascontiguousarray(mask[..., 0])  # a gray mask saved as RGB
        return to_8_bit_colors(path, mask)

    def _apply_threshold(self, path: Path | str, mask: Array) -> Array:
        """Return 0 below the threshold and 1 from it on, `(H, W)` uint8.

        Raises:
            DataError: If the values have another scale than the threshold.
        """
        assert self._threshold is not None
        highest = int(mask.max(initial=0))
        is_beyond = mask.dtype == np.uint8 and self._threshold > 255
        if is_beyond or (highest == 1 and self._threshold > 1) or (highest > 255 and self._threshold <= 255):
            raise DataError(
                f"{path}: holds values up to {highest}, and data.threshold is {self._threshold}, which is of another "
                "scale; save all masks as 8-bit gray from black to white"
            )
        return (mask >= self._threshold).astype(np.uint8)

    def _look_up_values(self, mask: Array) -> LookupTable:
        """Return train id + 1 of every value, `(H, W)`; 0 where it is not declared."""
        if mask.dtype in (np.uint8, np.uint16):
            return np.take(self._value_table, mask)
        is_in_table = (mask >= 0) & (mask < _NUM_VALUES)
        entries = np.where(is_in_table, np.take(self._value_table, np.where(is_in_table, mask, 0).astype(np.int64)), 0)
        for value, class_id in self._values_beyond_table.items():
            if np.iinfo(mask.dtype).min <= value <= np.iinfo(mask.dtype).max:
                entries[mask == value] = class_id + 1
        return entries.astype(np.uint16)

    def undeclared_error(self, path: str, pixel_counts: Counter[Key], other_masks: str = "") -> UndeclaredError:
        """Return the error for undeclared values or colors of one or several masks.

        Args:
            path: Path of the (first) mask.
            pixel_counts: Pixels of every value or color, whether declared or not.
            other_masks: Text for further masks, such as " and 12 more files".
        """
        declared = Declared(self.classes, self._values, self._colors)
        return UndeclaredError(
            advise(path + other_masks, pixel_counts, declared, palette_colors(path)),
            path,
            pixel_counts,
            undeclared=set(pixel_counts) - self._values.keys() - self._colors.keys(),
            is_interpolated=looks_interpolated(pixel_counts, declared),
        )

    @property
    def is_by_index(self) -> bool:
        """Return whether the indices of a palette are class ids by default, without a declaration."""
        return not self._has_declaration and self._threshold is None and self._channel is None

    def mask_values(self) -> MaskValues:
        """Create a comparison of masks with each other."""
        ids = {value for value, class_id in self._values.items() if class_id != IGNORE} if self.is_by_index else set()
        return MaskValues(ids, has_default_void=self._has_default_void and len(self.classes) == 2)

    def check_totals(self, folder: str, counts: npt.NDArray[np.int64]) -> None:
        """Check the pixels per train id of all masks of a split.

        Args:
            folder: Folder of the masks.
            counts: Pixels per train id, `(256,)`, void at `IGNORE`.

        Raises:
            DataError: If two-class masks hold only 0 and 255, and no option declares 255 as a class or as void.
        """
        if self._has_default_void and len(self.classes) == 2 and counts[0] and counts[IGNORE] and not counts[1]:
            raise DataError(advise_0_255(folder, self.classes, int(counts[0]), int(counts[IGNORE])))

    def __repr__(self) -> str:
        """Return all options that determine the ids, as one line; equal for equal maps."""
        colors = sorted((list(color), class_id) for color, class_id in self._colors.items())
        options = [self._threshold, self._channel]
        return json.dumps([self.classes, sorted(self._values.items()), colors, self.by_color, *options])


def rgb(colors: Sequence[int] | Sequence[Sequence[int]]) -> list[Color]:
    """Return one color, or a list of colors, as a list of tuples.

    Raises:
        ConfigError: If a color is no RGB triple of bytes.
    """
    is_one_color = all(isinstance(channel, int) for channel in colors)
    return [_checked_rgb(color) for color in ([colors] if is_one_color else colors)]


def _checked_rgb(color: object) -> Color:
    match color:
        case [int(red), int(green), int(blue)] if all(0 <= channel <= 255 for channel in (red, green, blue)):
            return red, green, blue
    raise ConfigError(f"data.colors: {color} is not an RGB color such as [128, 64, 128]")


def checked_classes(classes: Sequence[str], least: int = 2) -> list[str]:
    """Return class names as a list.

    Args:
        classes: The names.
        least: Least number of classes.

    Raises:
        ConfigError: If one is listed twice, or there are too few or too many.
    """
    duplicates = [name for name, count in Counter(classes).items() if count > 1]
    if duplicates:
        raise ConfigError(
            f"data.classes: {', '.join(duplicates)} is listed twice; to merge, give one class several values"
        )
    if len(classes) < least:
        fix = "at least two are needed; name the background too" if least > 1 else "name at least one"
        raise ConfigError(f"data.classes: {list(classes)}: {fix}")
    if len(classes) > MAX_CLASSES:
        raise ConfigError(f"data.classes: {len(classes)} are too many; {MAX_CLASSES} fit into a byte beside void")
    return list(classes)


def _declared_ids(
    classes: list[str],
    values: Mapping[int, str] | None,
    colors: Mapping[str, Sequence[int] | Sequence[Sequence[int]]] | None,
) -> tuple[dict[int, int], dict[Color, int]]:
    """Return the train ids of the declared values and colors; without a declaration, values are train ids.

    Raises:
        ConfigError: If a name is no class, or a class has no entry.
    """
    value_ids = {value: _id_of(name, classes, "values") for value, name in (values or {}).items()}
    color_ids = {
        color: _id_of(name, classes, "colors") for name, shades in (colors or {}).items() for color in rgb(shades)
    }
    if values is not None:
        _require_all(value_ids, classes, "values")
    elif colors:
        _require_all(color_ids, classes, "colors")
    else:
        value_ids = {class_id: class_id for class_id in range(len(classes))}
    return value_ids, color_ids


def _require_compatible(
    channel: int | Literal["alpha"] | None, threshold: int | None, has_colors: bool, has_ignore: bool
) -> None:
    if channel is not None:
        require(channel == "alpha" or int(channel) >= 0, f"data.mask_channel: {channel} is no channel; give 0 or more")
        require(not has_colors, "data.mask_channel: one channel holds values, not colors; remove one of the two")
    if threshold is not None:
        require(threshold >= 1, f"data.threshold: {threshold} leaves no value below it; give 1 or more, such as 128")
        require(not has_colors, "data.threshold: splits gray values, not colors; remove one of the two")
        require(not has_ignore, "data.threshold: leaves two classes and no void; remove data.ignore")


def _void_entries(ignore: Sequence[int | Sequence[int]] | None) -> tuple[list[int], list[Color]]:
    """Return the values and the colors that are void."""
    values = [entry for entry in ignore or [] if isinstance(entry, int)]
    return values, [color for entry in ignore or [] if not isinstance(entry, int) for color in rgb(entry)]


def _id_of(name: str, classes: list[str], option: str) -> int:
    if name in classes:
        return classes.index(name)
    raise ConfigError(f"data.{option}: {name!r} is not among the classes{did_you_mean(name, classes, otherwise=12)}")


def _require_all(declared: Mapping[_K, int], classes: list[str], option: str) -> None:
    missing = [name for class_id, name in enumerate(classes) if class_id not in declared.values()]
    if missing:
        raise ConfigError(
            f"data.{option}: nothing is declared for {', '.join(missing)}; a class needs at least one entry"
        )


def _two_sides(values: Mapping[int, int], threshold: int) -> dict[int, int]:
    """Return the train ids below a threshold, as value 0, and from it on, as value 1.

    Raises:
        ConfigError: If there is not exactly one class on either side.
    """
    below = {class_id for value, class_id in values.items() if value < threshold}
    above = {class_id for value, class_id in values.items() if value >= threshold}
    if set(values) == {0, 1} == set(values.values()):
        below, above = {values[0]}, {values[1]}
    if len(below) != 1 or len(above) != 1 or below == above:
        raise ConfigError(
            f"data.threshold: {threshold} needs one class below it and one from it on; declare two classes, and, if "
            "the dark one is not the first, their values, such as values: {0: background, 255: object}"
        )
    return {0: below.pop(), 1: above.pop()}


def _with_void(declared: dict[_K, int], void: list[_K], classes: Sequence[str], has_declaration: bool) -> dict[_K, int]:
    """Return the declared train ids and those of the void values or colors.

    Raises:
        ConfigError: If a void value or color is also a class.
    """
    duplicates = [key for key in void if declared.get(key, IGNORE) != IGNORE]
    if duplicates:
        first = duplicates[0]
        message = f"data.ignore: {first} is also the class with id {declared[first]}; it can be only one"
        if not has_declaration and duplicates == [0]:
            entries = ", ".join(f"{value}: {name}" for value, name in enumerate(classes, 1))
            message += (
                "; if 0 is void and the classes count from 1, replace ignore by  reduce_zero_label: true  in "
                f"data.init_args, or add  values: {{{entries}}}"
                f" (and remove {classes[0]} from classes and values, if it is the name of void)"
            )
        raise ConfigError(message)
    return {**declared, **dict.fromkeys(void, IGNORE)}


def _lookup_table(ids: Mapping[int, int], size: int) -> LookupTable:
    """Return train id + 1 of every key, `(size,)`; 0: undeclared."""
    table = np.zeros(size, np.uint16)
    if size:
        for key, class_id in ids.items():
            table[key] = class_id + 1
    return table


def _pack_color(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _pack_colors(mask: Array) -> npt.NDArray[np.int32]:
    """Pack colors `(H, W, 3)` uint8 into one 24-bit integer per pixel, `(H, W)`."""
    # conversion to BGRA is the fastest way to four bytes per pixel; the alpha is masked off
    words = cv2.cvtColor(mask, cv2.COLOR_RGB2BGRA).view("<i4")[..., 0]
    return np.asarray(words & 0xFFFFFF, np.int32)


def count_pixels(mask: Array) -> Counter[Key]:
    """Count the pixels of every value of `(H, W)`, or of every color of `(H, W, 3)`."""
    keys, counts = np.unique(_pack_colors(mask) if mask.ndim == 3 else mask, return_counts=True)
    if mask.ndim == 2:
        return Counter(dict(zip(keys.tolist(), counts.tolist(), strict=True)))
    colors = [(key >> 16, key >> 8 & 255, key & 255) for key in keys.tolist()]
    return Counter(dict(zip(colors, counts.tolist(), strict=True)))
