"""The one ignore value: void pixels map to it; losses and metrics obey it."""

from typing import Final

IGNORE: Final[int] = 255
