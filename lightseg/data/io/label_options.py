"""Options of a label map: the train ids of the values and colors that a recipe declares."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.labels import IGNORE, Color

_K = TypeVar("_K", int, Color)

MAX_CLASSES = 255
"""Greatest number of classes: train ids are bytes, and one of the 256 is void."""


def parse_colors(colors: Sequence[int] | Sequence[Sequence[int]]) -> list[Color]:
    """Return one color, or a list of colors, as a list of tuples.

    Raises:
        ConfigError: If a color is no RGB triple of bytes.
    """
    is_one_color = all(isinstance(channel, int) for channel in colors)
    return [_parse_color(color) for color in ([colors] if is_one_color else colors)]


def _parse_color(color: object) -> Color:
    match color:
        case [int(red), int(green), int(blue)] if all(0 <= channel <= 255 for channel in (red, green, blue)):
            return red, green, blue
    raise ConfigError(f"data.colors: {color} is not an RGB color such as [128, 64, 128]")


def parse_classes(classes: Sequence[str], least: int = 2) -> list[str]:
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


def parse_ids(
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
        color: _id_of(name, classes, "colors")
        for name, shades in (colors or {}).items()
        for color in parse_colors(shades)
    }
    if values is not None:
        _require_all(value_ids, classes, "values")
    elif colors:
        _require_all(color_ids, classes, "colors")
    else:
        value_ids = {class_id: class_id for class_id in range(len(classes))}
    return value_ids, color_ids


def require_compatible(
    channel: int | Literal["alpha"] | None, threshold: int | None, has_colors: bool, has_ignore: bool
) -> None:
    """Check that a channel or a threshold is in range, and not combined with options that contradict it.

    Raises:
        ConfigError: If not.
    """
    if channel is not None:
        require(channel == "alpha" or int(channel) >= 0, f"data.mask_channel: {channel} is no channel; give 0 or more")
        require(not has_colors, "data.mask_channel: one channel holds values, not colors; remove one of the two")
    if threshold is not None:
        require(threshold >= 1, f"data.threshold: {threshold} leaves no value below it; give 1 or more, such as 128")
        require(not has_colors, "data.threshold: splits gray values, not colors; remove one of the two")
        require(not has_ignore, "data.threshold: leaves two classes and no void; remove data.ignore")


def parse_ignore(ignore: Sequence[int | Sequence[int]] | None) -> tuple[list[int], list[Color]]:
    """Return the values and the colors that are void."""
    values = [entry for entry in ignore or [] if isinstance(entry, int)]
    return values, [color for entry in ignore or [] if not isinstance(entry, int) for color in parse_colors(entry)]


def _id_of(name: str, classes: list[str], option: str) -> int:
    if name in classes:
        return classes.index(name)
    raise ConfigError(f"data.{option}: {name!r} is not among the classes{did_you_mean(name, classes, otherwise=12)}")


def _require_all(declared: Mapping[_K, int], classes: list[str], option: str) -> None:
    undeclared_names = [name for class_id, name in enumerate(classes) if class_id not in declared.values()]
    if undeclared_names:
        raise ConfigError(
            f"data.{option}: nothing is declared for {', '.join(undeclared_names)}; a class needs at least one entry"
        )


def split_at_threshold(values: Mapping[int, int], threshold: int) -> dict[int, int]:
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


def add_void_entries(
    declared: dict[_K, int], void: list[_K], classes: Sequence[str], has_declaration: bool
) -> dict[_K, int]:
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
