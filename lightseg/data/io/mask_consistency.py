"""Checks that the masks of a split use the same values: one order of palettes, and 255 void in all or in none."""

from collections.abc import Mapping, Set
from pathlib import Path

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
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=len(palette))[: len(palette)])
    return {index: palette[index] for index in used.tolist()}


class MaskConsistency:
    """Comparison of the masks of a split, one after another.

    Args:
        default_ids: Values that are class ids by default; empty where the config declares values or colors.
        has_default_void: Whether two classes have the values 0 and 1, and 255 is void by default.
    """

    def __init__(self, default_ids: Set[int], has_default_void: bool) -> None:
        self._default_ids, self._has_default_void = default_ids, has_default_void
        self._colors: dict[int, tuple[Color, str]] = {}
        """Color of each palette index, and the first mask that has it."""
        self._mask_with_1 = self._mask_with_255 = ""
        self._has_1_beside_255 = False

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
            first_color, first_mask = self._colors.setdefault(index, (color, mask))
            if first_color != color:
                raise DataError(
                    f"{mask}: index {index} of its palette is {list(color)}, and {list(first_color)} in {first_mask}, "
                    f"so that it is no class id; name classes by color, such as  colors: {{class: {list(color)}, …}}, "
                    "or, if the indices are right whatever their colors, by values: {0: class, …}"
                )
        grays = {color[0] for color in colors.values() if len(set(color)) == 1}
        if len(grays) == len(colors) > 1 and grays <= self._default_ids and grays != set(colors):
            raise DataError(
                f"{mask}: its palette has the gray values {sorted(grays)} at the indices {sorted(colors)}, and both "
                "could be class ids; save the masks as gray without a palette, or declare the ids by data.values"
            )
        # a mask that holds only 255 is void and tells nothing
        has_1, has_255 = bool(counts[1]), bool(counts[0] and counts[IGNORE])
        self._has_1_beside_255 |= has_1 and bool(counts[IGNORE])
        self._mask_with_1 = self._mask_with_1 or mask * (has_1 and not has_255)
        self._mask_with_255 = self._mask_with_255 or mask * (has_255 and not has_1)

    def require(self) -> None:
        """Check that the second of two classes is not 255 in some masks and 1 in others.

        Raises:
            DataError: If it seems to be.
        """
        has_conflict = self._mask_with_1 and self._mask_with_255 and not self._has_1_beside_255
        if self._has_default_void and has_conflict:
            raise DataError(
                f"{self._mask_with_255}: holds 0 and 255, and {self._mask_with_1} holds 0 and 1, as if either were the "
                "second class; if so, save all masks alike; if 255 is void, add to data.init_args:  ignore: [255]"
            )
