"""Lookup from the values or colors of mask files to train ids; an undeclared value is an error, never a guess."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.io.label_advice import Declared, Key, advise, advise_0_255, looks_interpolated
from lightseg.data.io.label_options import (
    add_void_entries,
    parse_classes,
    parse_ids,
    parse_ignore,
    require_compatible,
    split_at_threshold,
)
from lightseg.data.io.mask_consistency import MaskValues
from lightseg.data.io.masks import palette_colors, read_mask, to_8_bit_colors, to_gray
from lightseg.data.types import Array
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE, Color

LookupTable = npt.NDArray[np.uint16]
"""Train id + 1 by value or packed color; 0: undeclared."""

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
        self.classes = parse_classes(classes)
        self.by_color = bool(colors) and values is None
        self._has_declaration = bool(colors) or values is not None
        value_ids, color_ids = parse_ids(self.classes, values, colors)
        require_compatible(channel, threshold, has_colors=bool(colors), has_ignore=bool(ignore))
        self._threshold, self._channel = threshold, -1 if channel == "alpha" else channel
        if threshold is not None:
            value_ids = split_at_threshold(value_ids, threshold)
        void_values, void_colors = parse_ignore(ignore)
        if ignore is None and IGNORE not in value_ids and threshold is None:
            void_values = [IGNORE]
        # 255 is void by default, whether 0 and 1 are declared or not
        self._has_default_void = value_ids.keys() == set(range(len(self.classes))) and not colors and ignore is None
        self._values = add_void_entries(value_ids, void_values, self.classes, has_declaration=self._has_declaration)
        self._colors = add_void_entries(color_ids, void_colors, self.classes, has_declaration=True)
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
