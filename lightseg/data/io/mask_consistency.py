"""Checks that masks use the same values: one order of palettes, and 255 void in all or in none."""

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightseg.data.io.masks import palette_colors
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.labels import IGNORE, Color


def used_colors(path: Path, values: Array) -> dict[int, Color]:
    """Return the colors of the palette indices that a mask uses; empty if the file has no palette.

    Args:
        path: The mask.
        values: Its values, `(H, W)`.
    """
    palette = palette_colors(path)
    if palette is None or values.ndim != 2 or values.dtype != np.uint8:
        return {}
    indices = np.flatnonzero(np.bincount(values.ravel(), minlength=len(palette))[: len(palette)])
    return {index: palette[index] for index in indices.tolist()}


class MaskValues:
    """Values that masks use, and the comparison of one mask or split after another.

    Args:
        default_ids: Values that are class ids by default; empty where the config declares values or colors.
        has_default_void: Whether two classes have the values 0 and 1, and 255 is void by default.
        is_void_alone: Whether a mask that holds only 255 is void and tells nothing, not of the second class.

    Attributes:
        totals: Pixels per train id, `(256,)` int64, void at `IGNORE`.
    """

    def __init__(self, default_ids: Set[int], has_default_void: bool, is_void_alone: bool = True) -> None:
        self._default_ids, self._has_default_void = default_ids, has_default_void
        self._is_void_alone = is_void_alone
        self._colors: dict[int, tuple[Color, str]] = {}
        """Color of each palette index, and the first mask that has it."""
        self._mask_with_1 = self._mask_with_255 = ""
        self._has_1_beside_255 = False
        self.totals: npt.NDArray[np.int64] = np.zeros(IGNORE + 1, np.int64)

    @property
    def colors(self) -> dict[int, Color]:
        """Return the color of each palette index that is a class id by default."""
        return {index: color for index, (color, _) in sorted(self._colors.items())}

    def add(self, mask: str, counts: npt.NDArray[np.int64], colors: Mapping[int, Color]) -> None:
        """Compare one more mask with those before.

        Args:
            mask: Path of the mask.
            counts: Pixels per train id, `(256,)`, void at `IGNORE`.
            colors: Colors of the palette indices that it uses, from `used_colors`.

        Raises:
            DataError: If its palette contradicts that of another mask, or is ambiguous.
        """
        for index, color in colors.items() if self._default_ids else ():
            self._add_color(index, color, mask)
        grays = {color[0] for color in colors.values() if len(set(color)) == 1}
        if len(grays) == len(colors) > 1 and grays <= self._default_ids and grays != set(colors):
            raise DataError(
                f"{mask}: its palette has the gray values {sorted(grays)} at the indices {sorted(colors)}, and both "
                "could be class ids; save the masks as gray without a palette, or declare the ids by data.values"
            )
        has_1, has_255 = bool(counts[1]), bool(counts[IGNORE] and (counts[0] or not self._is_void_alone))
        self._has_1_beside_255 |= has_1 and bool(counts[IGNORE])
        self._mask_with_1 = self._mask_with_1 or mask * (has_1 and not has_255)
        self._mask_with_255 = self._mask_with_255 or mask * (has_255 and not has_1)
        self.totals = self.totals + counts

    def merge(self, other: "MaskValues") -> None:
        """Compare the masks of another split with those before.

        Raises:
            DataError: If a palette contradicts that of another mask.
        """
        for index, (color, mask) in other._colors.items():
            self._add_color(index, color, mask)
        self._has_1_beside_255 |= other._has_1_beside_255
        self._mask_with_1 = self._mask_with_1 or other._mask_with_1
        self._mask_with_255 = self._mask_with_255 or other._mask_with_255
        self.totals = self.totals + other.totals

    def require_colors(self, colors: Mapping[int, Sequence[int]], source: str) -> None:
        """Check that the palettes have the colors of other masks.

        Args:
            colors: Color of each palette index, from `colors` of other masks.
            source: Where these masks are, for the message.

        Raises:
            DataError: If an index has another color.
        """
        for index, (color, mask) in self._colors.items():
            if tuple(colors.get(index, color)) != color:
                raise _color_error(mask, index, color, colors[index], source)

    def require_one_meaning(self) -> None:
        """Check that the second of two classes is not 255 in some masks and 1 in others.

        Raises:
            DataError: If it seems to be.
        """
        has_conflict = self._mask_with_1 and self._mask_with_255 and not self._has_1_beside_255
        if self._has_default_void and has_conflict:
            raise DataError(
                f"{self._mask_with_255}: holds 255 and no 1, and {self._mask_with_1} holds 1 and no 255, as if either "
                "were the second class; if so, save all masks alike; if 255 is void, add to data.init_args:  "
                "ignore: [255]"
            )

    def dump(self) -> dict[str, Any]:
        """Return the values as JSON."""
        return {
            "colors": [[index, color, mask] for index, (color, mask) in self._colors.items()],
            "mask_with_1": self._mask_with_1,
            "mask_with_255": self._mask_with_255,
            "has_1_beside_255": self._has_1_beside_255,
            "totals": self.totals.tolist(),
        }

    def load(self, content: Mapping[str, Any]) -> None:
        """Take the values of `dump`."""
        self._colors = {index: ((red, green, blue), mask) for index, (red, green, blue), mask in content["colors"]}
        self._mask_with_1, self._mask_with_255 = content["mask_with_1"], content["mask_with_255"]
        self._has_1_beside_255 = content["has_1_beside_255"]
        self.totals = np.array(content["totals"], np.int64)

    def _add_color(self, index: int, color: Color, mask: str) -> None:
        first_color, first_mask = self._colors.setdefault(index, (color, mask))
        if first_color != color:
            raise _color_error(mask, index, color, first_color, first_mask)


def merge_values(splits: Iterable[MaskValues]) -> MaskValues | None:
    """Return the values of all splits together; None if there are none.

    Raises:
        DataError: If they contradict each other.
    """
    merged: MaskValues | None = None
    for values in splits:
        if merged is None:
            merged = values
        else:
            merged.merge(values)
    if merged is not None:
        merged.require_one_meaning()
    return merged


def _color_error(mask: str, index: int, color: Color, first_color: Sequence[int], source: str) -> DataError:
    return DataError(
        f"{mask}: index {index} of its palette is {list(color)}, and {list(first_color)} in {source}, "
        f"so that it is no class id; name classes by color, such as  colors: {{class: {list(color)}, …}}, "
        "or, if the indices are right whatever their colors, by values: {0: class, …}"
    )
