"""Classes that the truth of a split does not have: what they are called, and what they count."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RULE = (
    "absent: the truth has none of this class; a mean leaves it out where it was never predicted, and counts it as 0 "
    "where it was"
)


def absent(counts: npt.ArrayLike, classes: Sequence[str]) -> list[str]:
    """Return the classes of which a split has nothing.

    Args:
        counts: Pixels (or samples) of each class in the truth, `(C,)`.
        classes: The C names.
    """
    return [name for name, count in zip(classes, np.asarray(counts).tolist(), strict=True) if not count]


def describe_absent(score: float) -> str:
    """Return what stands in the place of the score of an absent class; NaN is that of one that was never predicted."""
    return "absent" if math.isnan(score) else "absent, but predicted"
