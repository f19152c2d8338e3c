"""Evenly spaced indices."""

import numpy as np


def spread(count: int, size: int) -> list[int]:
    """Return at most `count` distinct indices, evenly spaced over 0 to `size - 1`."""
    return [int(index) for index in np.linspace(0, size - 1, min(count, size)).astype(int)]
