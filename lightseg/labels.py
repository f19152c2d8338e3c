"""The one ignore value: void pixels map to it; losses and metrics obey it; pictures show it in white."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

IGNORE: Final[int] = 255

VOID = (255, 255, 255)
"""The colour of what is no class."""


def color_table(palette: Sequence[Sequence[int]]) -> npt.NDArray[np.uint8]:
    """The colour of every byte of a mask, `(256, 3)`: those of the classes, and white for void and what is no class."""
    table = np.full((IGNORE + 1, 3), VOID, np.uint8)
    table[: len(palette)] = palette
    return table
