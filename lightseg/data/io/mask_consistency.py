"""Consistency of the masks of a split: palettes in one order, 255 void in all or in none."""

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightseg.data.io.masks import Color, palette_colors
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.labels import IGNORE


def used_colors(path: Path, values: Array) -> dict[int, Color]:
    """Return the colours of the palette indices that a mask uses; nothing where the file has no palette.

    Args:
        path: The mask.
        values: What it holds, `(H, W)`.
    """
    palette = palette_colors(path)
    if palette is None or values.ndim != 2 or values.dtype != np.uint8:
        return {}
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=len(palette))[: len(palette)])
    return {index: palette[index] for index in used.tolist()}


class MaskConsistency:
    """Compares the masks of a split as they come.

    Args:
        declared: The values that are class ids because nobody said otherwise; none where someone did.
        is_implicit: Whether it is two classes at 0 and 1, and 255 is void because nobody said otherwise.
    """

    def __init__(self, declared: Set[int], is_implicit: bool) -> None:
        self._declared, self._is_implicit = declared, is_implicit
        self._colors: dict[int, tuple[Color, str]] = {}
        self._with_one = self._with_255 = ""
        self._has_both = False

    def add(self, mask: str, counts: npt.NDArray[np.int64], colors: Mapping[int, Color]) -> None:
        """Look at one more mask.

        Args:
            mask: Its path.
            counts: `(256,)` pixels per train id, void at `IGNORE`.
            colors: `used_colors`.

        Raises:
            DataError: If its palette means something else than another one's, or is ambiguous.
        """
        for index, color in colors.items() if self._declared else ():
            before, other_mask = self._colors.setdefault(index, (color, mask))
            if before != color:
                raise DataError(
                    f"{mask}: index {index} of its palette is {list(color)}, and {list(before)} in {other_mask}; these "
                    f"masks do not mean the same by it; name classes by color, such as colors: {{class: {list(color)}, "
                    "…}, or, if the indices are right whatever their colors, by values: {0: class, …}"
                )
        greys = {color[0] for color in colors.values() if len(set(color)) == 1}
        if len(greys) == len(colors) > 1 and greys <= self._declared and greys != set(colors):
            raise DataError(
                f"{mask}: its palette has the grey values {sorted(greys)} at the indices {sorted(colors)}, and both "
                "could be class ids; save the masks as grey without a palette, or say which is meant by data.values"
            )
        # a mask of nothing but 255 is void, whatever the others hold
        has_one, has_255 = bool(counts[1]), bool(counts[0] and counts[IGNORE])
        self._has_both |= has_one and bool(counts[IGNORE])
        self._with_one = self._with_one or mask * (has_one and not has_255)
        self._with_255 = self._with_255 or mask * (has_255 and not has_one)

    def require(self) -> None:
        """See that 255 is not one of two classes in some masks, and 1 in the others.

        Raises:
            DataError: If it seems to be.
        """
        if self._is_implicit and self._with_one and self._with_255 and not self._has_both:
            raise DataError(
                f"{self._with_255}: holds 0 and 255, and {self._with_one} holds 0 and 1, as if either were the second "
                "class; if so, save all alike; if 255 is void, add to data.init_args:  ignore: [255]"
            )
