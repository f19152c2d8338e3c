"""Messages for masks that do not match the declared labels, with the config line that declares their content."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lightseg.files.printable import format_count, join_names
from lightseg.labels import IGNORE, Color

Key = int | Color
"""Value or RGB color of a mask's pixel."""

PixelCounts = Mapping[int, int] | Mapping[Color, int]
"""Number of pixels of each value, or of each color."""

_LISTED = 8
"""Values or colors that a message lists; it counts the others."""

_MANY = 8
"""Undeclared values or colors from which on smooth edges are a likelier cause than forgotten classes."""

_THRESHOLD_ADVICE = ", or, as one class is dark and the other bright, add to data.init_args:  threshold: 128"


class Declared(NamedTuple):
    """Labels that a config declares."""

    classes: Sequence[str]
    values: Mapping[int, int]
    """File value → train id."""
    colors: Mapping[Color, int]
    """RGB color → train id."""


def advise(masks: str, counts: Counter[Key], declared: Declared, palette: Sequence[Color] | None = None) -> str:
    """Return the message for masks that hold undeclared values or colors.

    Args:
        masks: Subject of the message: the path of the mask, or of the first mask and the number of others.
        counts: Pixels of every value or color in these masks, whether declared or not.
        declared: Labels of the config.
        palette: Colors of the first mask's palette, if it has one.
    """
    values, colors = _split_by_kind(counts)
    if colors and declared.colors:
        return f"{masks}: {_advise_colors(colors, declared)}"
    if colors:
        return f"{masks}: {_advise_colors_without_declaration(colors, declared)}"
    return f"{masks}: {_advise_values(values, declared, palette)}"


def advise_presence(masks: str, counts: Counter[Key], declared: Declared) -> str:
    """Return the message for masks of single classes that hold undeclared values or colors.

    Args:
        masks: Subject of the message, as in `advise`.
        counts: Pixels of every value or color in these masks, whether declared or not.
        declared: Ids of the values: 0 absent, 1 present.
    """
    values, colors = _split_by_kind(counts)
    if colors:
        return (
            f"{masks}: the mask is RGB with the colors {_list_counts(colors)}; a mask of one class is gray: save it as "
            "gray, or name the channel that holds the class: mask_channel: 0"
        )
    new = {value: values[value] for value in sorted(values) if value not in declared.values}
    if looks_interpolated(counts, declared):
        return f"{masks}: {_advise_interpolated('values', values, new, declared)}"
    present = [value for value, class_id in declared.values.items() if class_id == 1]
    return (
        f"{masks}: value {_list_counts(new)} {'is' if len(new) == 1 else 'are'} neither 0, where the class is absent, "
        f"nor {' or '.join(map(str, present))}, where it is present; add to data.init_args:\n"
        f"  positive: {sorted([*(value for value in present if value in values), *new])}\n"
        f"or, if void:  ignore: {_ignore_line(declared.values, list(new))}"
    )


def advise_0_255(folder: str, classes: Sequence[str], zeros: int, voids: int) -> str:
    """Return the message for two-class masks that hold nothing but 0 and 255.

    Args:
        folder: Folder of the masks.
        classes: Names of the two classes.
        zeros: Pixels of value 0.
        voids: Pixels of value 255.
    """
    return (
        f"{folder}: the masks hold only 0 ({zeros} pixels) and 255 ({voids} pixels), and 255 is void unless declared; "
        f"add to data.init_args:\n  values: {{0: {classes[0]}, 255: {classes[1]}}}\n"
        f"or, if 255 really is void and {classes[1]} does not occur: ignore: [255]"
    )


def looks_interpolated(counts: Counter[Key], declared: Declared) -> bool:
    """Return whether so many values or colors are undeclared that smooth edges are the likeliest cause."""
    values, colors = _split_by_kind(counts)
    if colors:
        new = colors.keys() - declared.colors.keys()
        return len(new) >= _MANY and len(new) > 2 * len(declared.colors or declared.classes)
    new_values = values.keys() - declared.values.keys()
    # forgotten classes continue the count from 0 or 1
    is_contiguous = max(values) <= len(values) <= IGNORE // 2
    return len(new_values) >= _MANY and len(new_values) > 2 * len(declared.values) and not is_contiguous


def _split_by_kind(counts: Counter[Key]) -> tuple[Counter[int], Counter[Color]]:
    """Return the pixel counts of the values and those of the colors."""
    values = Counter({key: n for key, n in counts.items() if isinstance(key, int)})
    return values, Counter({key: n for key, n in counts.items() if isinstance(key, tuple)})


def _advise_values(counts: Counter[int], declared: Declared, palette: Sequence[Color] | None) -> str:
    new = {value: counts[value] for value in sorted(counts) if value not in declared.values}
    out_of_range = [value for value in new if not 0 <= value < 1 << 16]
    if out_of_range:
        listed = _ignore_line(declared.values, out_of_range[:_LISTED])
        return f"value {out_of_range[0]} is no class id; if it is void, add to data.init_args:  ignore: {listed}"
    if looks_interpolated(Counter(counts), declared):
        return _advise_interpolated("values", counts, new, declared)
    may_count_from_one = _may_count_from_one(new, declared)
    if may_count_from_one and 0 not in counts:
        pairs = _pairs((i + 1, name) for i, name in enumerate(declared.classes))
        return (
            f"values run from 1 to {len(declared.classes)} and 0 does not occur: the ids are counted from 1; "
            f"add to data.init_args:\n  values: {pairs}"
        )
    entries = [(value, declared.classes[i]) for value, i in declared.values.items() if i != IGNORE]
    entries += [(value, "CLASS") for value in new]
    zero = "; or, if 0 is void and the classes count from 1:  reduce_zero_label: true"
    return (
        f"value {_list_counts(new, palette)} {'is' if len(new) == 1 else 'are'} not declared; add to data.init_args:\n"
        f"  values: {_pairs(entries)}\n"
        f"or, if void:  ignore: {_ignore_line(declared.values, list(new))}{zero if may_count_from_one else ''}"
    )


def _advise_colors_without_declaration(counts: Counter[Color], declared: Declared) -> str:
    if looks_interpolated(Counter(counts), declared):
        return _advise_interpolated("colors", counts, counts, declared)
    colors = ", ".join(f"CLASS: {list(color)}" for color, _ in counts.most_common(_LISTED))
    return (
        f"the mask is RGB with the colors {_list_counts(counts)}, and no colors are declared; add to data.init_args:\n"
        f"  colors: {{{colors}}}\n"
        f"with each CLASS one of {', '.join(declared.classes)}; void goes to ignore: [[R, G, B]]"
    )


def _advise_colors(counts: Counter[Color], declared: Declared) -> str:
    new = {color: n for color, n in counts.most_common() if color not in declared.colors}
    if looks_interpolated(Counter(counts), declared):
        return _advise_interpolated("colors", counts, new, declared)
    entries = ", ".join(f"CLASS: {list(color)}" for color in new)
    return (
        f"color {_list_counts(new)} {'is' if len(new) == 1 else 'are'} not declared; add to data.init_args.colors:\n"
        f"  {entries}\nor, if void:  ignore: {_ignore_line(declared.colors, [list(color) for color in new])}"
    )


def _advise_interpolated(kind: str, counts: PixelCounts, new: PixelCounts, declared: Declared) -> str:
    return (
        f"{len(counts)} different {kind} for {len(declared.classes)} classes: this looks interpolated, by a resize, an "
        "anti-aliased drawing or a JPEG; export them again as PNG, and resize masks by nearest neighbor only"
        f"{_THRESHOLD_ADVICE if len(declared.classes) == 2 and kind == 'values' else ''}\n"
        f"not declared: {_list_counts(new)}"
    )


def _may_count_from_one(new: Mapping[int, int], declared: Declared) -> bool:
    """Return whether C alone is undeclared where 0 to C-1 are the class ids, so that 1 to C may be meant."""
    is_identity = all(value in (class_id, IGNORE) for value, class_id in declared.values.items())
    return is_identity and list(new) == [len(declared.classes)]


def _list_counts(counts: PixelCounts, palette: Sequence[Color] | None = None) -> str:
    """Format pixel counts as `128 (312 pixels), 129 (2 pixels) and 30 more`, with the palette's color of an index."""
    items = []
    for key, pixels in counts.items():
        color = ""
        if palette and isinstance(key, int) and key < len(palette):
            color = f", palette color {list(palette[key])}"
        items.append(f"{list(key) if isinstance(key, tuple) else key} ({format_count(pixels, 'pixel')}{color})")
    return join_names(items, _LISTED)


def _pairs(pairs: Iterable[tuple[int, str]]) -> str:
    return "{" + ", ".join(f"{value}: {name}" for value, name in pairs) + "}"


def _ignore_line(declared: Mapping[int, int] | Mapping[Color, int], new: Sequence[int] | Sequence[list[int]]) -> str:
    """Return the `ignore` list of a config: the declared void values or colors, then the new ones."""
    void = [key if isinstance(key, int) else list(key) for key, class_id in declared.items() if class_id == IGNORE]
    return str([*void, *new])
