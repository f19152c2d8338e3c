"""Advice for masks that do not match the declared labels: what is there, and the config line that fixes it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lightseg.data.io.masks import Color
from lightseg.labels import IGNORE

Key = int | Color
Entries = Mapping[int, int] | Mapping[Color, int]

_SHOWN = 8
"""Entries that a message lists before it says how many more there are."""

_MANY = 8
"""Undeclared entries from which on edges between classes are the likelier cause than forgotten classes."""


_THRESHOLD = ", or, as one class is dark and the other bright, add to data.init_args:  threshold: 128"


class Declared(NamedTuple):
    """Labels that a config declares."""

    classes: Sequence[str]
    values: Mapping[int, int]
    """File value → train id."""
    colors: Mapping[Color, int]
    """RGB colour → train id."""


def advise(
    where: str, also: str, found: Counter[Key], declared: Declared, palette: Sequence[Color] | None = None
) -> str:
    """Return the message for masks that hold undeclared values or colours.

    Args:
        where: Path of the (first) mask.
        also: What to say of further masks, or nothing.
        found: Pixels of every value or colour in those masks, declared ones too.
        declared: The labels of the config.
        palette: Colours of the first mask's palette, if it has one.
    """
    colors = Counter({key: n for key, n in found.items() if isinstance(key, tuple)})
    values = Counter({key: n for key, n in found.items() if isinstance(key, int)})
    start = f"{where}{also}: "
    if colors:
        return start + (_strange_colors(colors, declared) if declared.colors else _only_colors(colors, declared))
    return start + _strange_values(values, declared, palette)


def advise_0_255(where: str, classes: Sequence[str], zeros: int, voids: int) -> str:
    """Return the message for two-class masks that hold nothing but 0 and 255."""
    return (
        f"{where}: the masks hold only 0 ({zeros} pixels) and 255 ({voids} pixels), and 255 is void unless declared; "
        f"add to data.init_args:\n  values: {{0: {classes[0]}, 255: {classes[1]}}}\n"
        f"or, if 255 really is void and {classes[1]} does not occur: ignore: [255]"
    )


def looks_interpolated(found: Counter[Key], declared: Declared) -> bool:
    """Return whether masks hold so many undeclared values or colours that smooth edges are the likelier cause."""
    colors = {key for key in found if isinstance(key, tuple)}
    if colors:
        new = colors - declared.colors.keys()
        return len(new) >= _MANY and len(new) > 2 * len(declared.colors or declared.classes)
    values = {key: n for key, n in found.items() if isinstance(key, int)}
    return _looks_interpolated(
        values, {key: n for key, n in values.items() if key not in declared.values}, declared.values
    )


def _strange_values(values: Counter[int], declared: Declared, palette: Sequence[Color] | None) -> str:
    new = {value: values[value] for value in sorted(values) if value not in declared.values}
    outside = [value for value in new if not 0 <= value < 1 << 16]
    if outside:
        listed = _ignore_line(declared.values, outside[:_SHOWN])
        return f"value {outside[0]} is no class id; if it is void, add to data.init_args:  ignore: {listed}"
    if _looks_interpolated(values, new, declared.values):
        return _interpolated("values", values, new, declared)
    if _counts_from_one(values, new, declared):
        pairs = _pairs((i + 1, name) for i, name in enumerate(declared.classes))
        return (
            f"values run from 1 to {len(declared.classes)} and 0 does not occur: the ids are counted from 1; "
            f"add to data.init_args:\n  values: {pairs}"
        )
    declared_values = [(value, declared.classes[i]) for value, i in declared.values.items() if i != IGNORE]
    what = f"value {_listed(new, palette)} {'is' if len(new) == 1 else 'are'} not declared; add to data.init_args:\n"
    line = f"  values: {_pairs([*declared_values, *((value, 'CLASS') for value in new)])}"
    return what + line + f"\nor, if void:  ignore: {_ignore_line(declared.values, list(new))}"


def _only_colors(found: Counter[Color], declared: Declared) -> str:
    if looks_interpolated(Counter(found), declared):
        return _interpolated("colours", found, found, declared)
    colors = ", ".join(f"CLASS: {list(color)}" for color, _ in found.most_common(_SHOWN))
    return (
        f"the mask is RGB with the colours {_listed(found)}, and no colors are declared; add to data.init_args:\n"
        f"  colors: {{{colors}}}\n"
        f"with each CLASS one of {', '.join(declared.classes)}; void goes to ignore: [[R, G, B]]"
    )


def _strange_colors(colors: Counter[Color], declared: Declared) -> str:
    new = {color: n for color, n in colors.most_common() if color not in declared.colors}
    if looks_interpolated(Counter(colors), declared):
        return _interpolated("colours", colors, new, declared)
    added = ", ".join(f"CLASS: {list(color)}" for color in new)
    return (
        f"colour {_listed(new)} {'is' if len(new) == 1 else 'are'} not declared; add to data.init_args.colors:\n"
        f"  {added}\nor, if void:  ignore: {_ignore_line(declared.colors, [list(color) for color in new])}"
    )


def _looks_interpolated(values: Mapping[int, int], new: Mapping[int, int], declared: Mapping[int, int]) -> bool:
    """Many new values that do not simply count on from 0 or 1, as forgotten classes would."""
    counts_on = max(values) <= len(values) <= IGNORE // 2
    return len(new) >= _MANY and len(new) > 2 * len(declared) and not counts_on


def _interpolated(kind: str, values: Entries, new: Entries, declared: Declared) -> str:
    return (
        f"{len(values)} different {kind} for {len(declared.classes)} classes: this looks interpolated, by a resize, an "
        "anti-aliased drawing or a JPEG; export them again as PNG, and resize masks by nearest neighbour only"
        f"{_THRESHOLD if len(declared.classes) == 2 and kind == 'values' else ''}\n"
        f"not declared: {_listed(new)}"
    )


def _counts_from_one(values: Mapping[int, int], new: Mapping[int, int], declared: Declared) -> bool:
    ids_as_they_are = all(value in (class_id, IGNORE) for value, class_id in declared.values.items())
    return ids_as_they_are and list(new) == [len(declared.classes)] and 0 not in values


def _listed(entries: Entries, palette: Sequence[Color] | None = None) -> str:
    """`128 (312 pixels), 129 (2 pixels) and 30 more`; for a palette file with the colour that the eye sees."""
    lines = []
    for key, pixels in list(entries.items())[:_SHOWN]:
        examples = (
            f", palette colour {list(palette[key])}" if palette and isinstance(key, int) and key < len(palette) else ""
        )
        lines.append(f"{list(key) if isinstance(key, tuple) else key} ({pixels} pixel{'s' * (pixels != 1)}{examples})")
    more = len(entries) - len(lines)
    return ", ".join(lines) + (f" and {more} more" if more else "")


def _pairs(pairs: Iterable[tuple[int, str]]) -> str:
    return "{" + ", ".join(f"{value}: {name}" for value, name in pairs) + "}"


def _ignore_line(declared: Entries, new: Sequence[int | list[int]]) -> str:
    void = [key if isinstance(key, int) else list(key) for key, class_id in declared.items() if class_id == IGNORE]
    return str([*void, *new])
