"""Classes without pixels (or samples) in the target of a split: their names and their description in tables."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RULE = (
    "absent: the truth has none of this class; a mean leaves it out where it was never predicted, and counts it as 0 "
    "where it was"
)


def absent(counts: npt.ArrayLike, classes: Sequence[str]) -> list[str]:
    """Return the names of the classes without pixels (or samples).

    Args:
        counts: Target pixels (or samples) of each class, `(C,)`.
        classes: C class names.
    """
    return [name for name, count in zip(classes, np.asarray(counts).tolist(), strict=True) if not count]


def describe_absent(score: float) -> str:
    """Return the text that replaces the score of an absent class; the score is NaN if the class was never predicted."""
    return "absent" if math.isnan(score) else "absent, but predicted"
