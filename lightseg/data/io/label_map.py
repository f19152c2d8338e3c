"""Map from the values or colors of mask files to train ids; what is not declared is an error, never a guess."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.io.label_advice import Declared, Key, advise, advise_0_255, looks_interpolated
from lightseg.data.io.mask_consistency import MaskConsistency
from lightseg.data.io.masks import Color, as_gray, bytes_of_colors, palette_colors, read_mask
from lightseg.data.types import Array
from lightseg.errors import ConfigError, DataError, did_you_mean, require
from lightseg.labels import IGNORE

Table = npt.NDArray[np.uint16]
_K = TypeVar("_K", int, Color)

MAX_CLASSES = 255
"""Train ids are bytes, and one of the 256 is void."""

_VALUES, _COLORS = 1 << 16, 1 << 24


class UndeclaredError(DataError):
    """Error for a mask with values or colors that its label map does not name."""

    where: str
    """Path of the mask."""

    found: Counter[Key]
    """Every value or colour of the file with its number of pixels, declared or not."""

    undeclared: set[Key]
    """Those that are not declared."""

    is_interpolated: bool
    """Whether so many are undeclared that a resize, smooth edges or a JPEG is the likelier cause."""

    @property
    def is_colored(self) -> bool:
        """Return whether colours were found, not values."""
        return any(isinstance(key, tuple) for key in self.found)


class LabelMap:
    """Lookup from the values or colours of mask files to train ids 0..C-1 and `IGNORE`.

    Args:
        classes: Class names; a class's train id is its place in this list.
        values: File value → class name; several values of one class merge. Left out, values are train ids already.
        colors: Class name → its RGB colour, or a list of them. With `colors` alone masks are read by colour, palette
            files too; beside `values` they serve RGB files and pictures.
        ignore: Values and RGB colours that are void. Left out, value 255 is, unless `values` names it.
        threshold: Grey value from which on a mask shows the brighter of two classes; lossy files will do then.
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
        self.classes = _checked_classes(classes)
        self.by_color, self._is_stated = bool(colors) and values is None, bool(colors) or values is not None
        ids = {value: _id_of(name, self.classes, "values") for value, name in (values or {}).items()}
        painted = {
            color: _id_of(name, self.classes, "colors") for name, some in (colors or {}).items() for color in rgb(some)
        }
        if values is None and not colors:
            ids = {class_id: class_id for class_id in range(len(self.classes))}
        if values is not None:
            _require_all(ids, self.classes, "values")
        elif colors:
            _require_all(painted, self.classes, "colors")
        self._threshold, self._channel = threshold, -1 if channel == "alpha" else channel
        if channel is not None:
            require(
                channel == "alpha" or int(channel) >= 0, f"data.mask_channel: {channel} is no channel; give 0 or more"
            )
            require(not colors, "data.mask_channel: one channel holds values, not colors; remove one of the two")
        if threshold is not None:
            require(not colors, "data.threshold: splits grey values, not colors; remove one of the two")
            require(not ignore, "data.threshold: leaves two classes and no void; remove data.ignore")
            ids = _two_sides(ids, threshold)
        void_values = [entry for entry in ignore or [] if isinstance(entry, int)]
        void_colors = [color for entry in ignore or [] if not isinstance(entry, int) for color in rgb(entry)]
        if ignore is None and IGNORE not in ids and threshold is None:
            void_values = [IGNORE]
        # 255 is void by default, whether 0 and 1 are declared or taken for granted
        self._implicit = ids.keys() == set(range(len(self.classes))) and not colors and ignore is None
        is_implicit = values is None and not colors
        self._values = _with_void(ids, void_values, self.classes, is_implicit)
        self._colors = _with_void(painted, void_colors, self.classes, False)
        if any(not -(1 << 63) <= value < 1 << 63 for value in self._values):
            raise ConfigError(f"data.values, data.ignore: {sorted(self._values)}: a mask value has at most 64 bits")
        # values outside the table, such as -9999, are looked up one by one
        self._outside = {value: i for value, i in self._values.items() if not 0 <= value < _VALUES}
        self._value_table = _table({v: i for v, i in self._values.items() if v not in self._outside}, _VALUES)
        # 2^24 entries, of which the system backs only the touched pages with memory
        self._color_table = _table({_packed(color): i for color, i in self._colors.items()}, _COLORS if painted else 0)

    def read(self, path: Path | str) -> npt.NDArray[np.uint8]:
        """Train ids `(H, W)` of a mask file.

        Raises:
            DataError: If the file is broken.
            UndeclaredError: If it holds what is not declared; the message has the config line that declares it.
        """
        return self.ids(path, self.file_values(path))

    def ids(self, path: Path | str, mask: Array) -> npt.NDArray[np.uint8]:
        """Train ids `(H, W)` of what `file_values` gives.

        Raises:
            UndeclaredError: If it holds what is not declared; the message has the config line that declares it.
        """
        if mask.ndim == 3:
            ids = np.take(self._color_table, _pack(mask)) if self._color_table.size else np.zeros(1, np.uint16)
        else:
            ids = self._look_up(mask)
        if not ids.min():
            raise self.undeclared(str(path), _tally(mask))
        return (ids - 1).astype(np.uint8)

    def file_values(self, path: Path | str) -> Array:
        """Return what a mask file holds: `(H, W)` integers, or `(H, W, 3)` uint8 colours.

        Raises:
            DataError: If the file is broken.
        """
        mask = read_mask(path, self.by_color, self._channel, self._threshold is not None)
        if self._threshold is not None:
            return self._split(path, as_gray(path, mask))
        if mask.ndim == 2:
            return mask
        if not self._colors and (mask == mask[..., :1]).all():
            return np.ascontiguousarray(mask[..., 0])  # grey that was saved as RGB
        return bytes_of_colors(path, mask)

    def _split(self, path: Path | str, mask: Array) -> Array:
        """0 below the threshold and 1 from it on.

        Raises:
            DataError: If the values are of another scale than the threshold.
        """
        assert self._threshold is not None
        highest = int(mask.max(initial=0))
        if (highest == 1 and self._threshold > 1) or (highest > 255 and self._threshold <= 255):
            raise DataError(
                f"{path}: holds values up to {highest}, and data.threshold is {self._threshold}, which is of another "
                "scale; save all masks alike, as 8-bit grey from black to white"
            )
        return (mask >= self._threshold).astype(np.uint8)

    def _look_up(self, mask: Array) -> Table:
        """Train id + 1 of every value, 0 where it is not declared."""
        if mask.dtype in (np.uint8, np.uint16):
            return np.take(self._value_table, mask)
        inside = (mask >= 0) & (mask < _VALUES)
        ids = np.where(inside, np.take(self._value_table, np.where(inside, mask, 0).astype(np.int64)), 0)
        for value, class_id in self._outside.items():
            if np.iinfo(mask.dtype).min <= value <= np.iinfo(mask.dtype).max:
                ids[mask == value] = class_id + 1
        return ids.astype(np.uint16)

    def undeclared(self, where: str, values: Counter[Key], also: str = "") -> UndeclaredError:
        """Return the error for what was found in a mask, or in several.

        Args:
            where: Path of the (first) mask.
            values: Pixels of every value or colour, declared ones too.
            also: What to say of further masks, such as " and 12 more files".
        """
        declared = Declared(self.classes, self._values, self._colors)
        error = UndeclaredError(advise(where, also, values, declared, palette_colors(where)))
        error.where, error.found, error.is_interpolated = where, values, looks_interpolated(values, declared)
        error.undeclared = set(values) - self._values.keys() - self._colors.keys()
        return error

    @property
    def is_by_index(self) -> bool:
        """Return whether the indices of a palette are class ids because nobody said otherwise."""
        return not self._is_stated and self._threshold is None and self._channel is None

    def consistency(self) -> MaskConsistency:
        """Return a comparison of the masks of a split with each other."""
        ids = {value for value, class_id in self._values.items() if class_id != IGNORE} if self.is_by_index else set()
        is_implicit = self._implicit and len(self.classes) == 2
        return MaskConsistency(ids, is_implicit)

    def check_totals(self, where: str, counts: npt.NDArray[np.int64]) -> None:
        """Look at the pixels per train id of all masks together.

        Args:
            where: The folder of the masks.
            counts: `(256,)` pixels per train id, void at `IGNORE`.

        Raises:
            DataError: If two-class masks hold only 0 and 255: nobody said whether 255 is a class or void.
        """
        if self._implicit and len(self.classes) == 2 and counts[0] and counts[IGNORE] and not counts[1]:
            raise DataError(advise_0_255(where, self.classes, int(counts[0]), int(counts[IGNORE])))

    def __repr__(self) -> str:
        """Everything that decides about the ids, as one line; equal for equal maps."""
        colors = sorted((list(color), class_id) for color, class_id in self._colors.items())
        options = [self._threshold, self._channel]
        return json.dumps([self.classes, sorted(self._values.items()), colors, self.by_color, *options])


def rgb(some: Sequence[int] | Sequence[Sequence[int]]) -> list[Color]:
    """Return one colour, or a list of colours, as a list of tuples.

    Raises:
        ConfigError: If it is not made of RGB triples of bytes.
    """
    return [_one_rgb(color) for color in ([some] if all(isinstance(part, int) for part in some) else some)]


def _one_rgb(color: object) -> Color:
    match color:
        case [int(red), int(green), int(blue)] if all(0 <= part <= 255 for part in (red, green, blue)):
            return red, green, blue
    raise ConfigError(f"data.colors: {color} is not an RGB colour such as [128, 64, 128]")


def _checked_classes(classes: Sequence[str]) -> list[str]:
    twice = [name for name, times in Counter(classes).items() if times > 1]
    if twice:
        raise ConfigError(f"data.classes: {', '.join(twice)} is there twice; to merge, give one class several values")
    if len(classes) < 2:
        raise ConfigError(f"data.classes: {list(classes)}: at least two are needed; name the background too")
    if len(classes) > MAX_CLASSES:
        raise ConfigError(f"data.classes: {len(classes)} are too many; {MAX_CLASSES} fit into a byte beside void")
    return list(classes)


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
    """Train ids of what lies below and above a threshold, as 0 and 1."""
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


def _with_void(declared: dict[_K, int], void: list[_K], classes: Sequence[str], is_implicit: bool) -> dict[_K, int]:
    both = [key for key in void if declared.get(key, IGNORE) != IGNORE]
    if both:
        message = f"data.ignore: {both[0]} is also the class with id {declared[both[0]]}; it can be only one"
        if is_implicit and both == [0]:
            pairs = ", ".join(f"{value}: {name}" for value, name in enumerate(classes, 1))
            message += (
                f"; if 0 is void and the classes count from 1, add to data.init_args:  values: {{{pairs}}}"
                f" (and remove {classes[0]} from classes and values, if it is the name of void)"
            )
        raise ConfigError(message)
    return {**declared, **dict.fromkeys(void, IGNORE)}


def _table(ids: Mapping[int, int], size: int) -> Table:
    """Train id + 1 of every key; 0 is undeclared."""
    table = np.zeros(size, np.uint16)
    if size:
        for key, class_id in ids.items():
            table[key] = class_id + 1
    return table


def _packed(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _pack(mask: Array) -> npt.NDArray[np.int32]:
    """Colours `(H, W, 3)` as one 24-bit integer per pixel."""
    # to BGRA is the fastest way to four bytes per pixel; the alpha is masked off
    words = cv2.cvtColor(mask, cv2.COLOR_RGB2BGRA).view("<i4")[..., 0]
    return np.asarray(words & 0xFFFFFF, np.int32)


def _tally(mask: Array) -> Counter[Key]:
    keys, counts = np.unique(_pack(mask) if mask.ndim == 3 else mask, return_counts=True)
    if mask.ndim == 2:
        return Counter(dict(zip(keys.tolist(), counts.tolist(), strict=True)))
    colors = [(key >> 16, key >> 8 & 255, key & 255) for key in keys.tolist()]
    return Counter(dict(zip(colors, counts.tolist(), strict=True)))
