"""Evenly spaced selection of a few of many."""

import numpy as np


def spread(count: int, size: int) -> list[int]:
    """At most `count` indices, each once and the same every time, spread evenly over `size` things."""
    return [int(index) for index in np.linspace(0, size - 1, min(count, size)).astype(int)]
