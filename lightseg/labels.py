"""Class colors, and the ignore value of masks: losses and metrics skip its pixels, and pictures show them in white."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

IGNORE: Final[int] = 255

Color = tuple[int, int, int]
"""RGB color, 0 to 255."""

VOID: Color = (255, 255, 255)
"""Color of pixels without a class."""


def color_table(palette: Sequence[Sequence[int]]) -> npt.NDArray[np.uint8]:
    """Return the RGB color of each mask value: those of the classes, and white for all other values.

    Args:
        palette: RGB colors of the classes, 0 to 255.

    Returns:
        Colors `(256, 3)`, uint8.
    """
    table = np.full((IGNORE + 1, 3), VOID, np.uint8)
    table[: len(palette)] = palette
    return table
