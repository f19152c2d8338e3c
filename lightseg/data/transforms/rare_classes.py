"""Determination of the rare classes, and of the classes in a sample."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lightseg.data.targets import is_class
from lightseg.data.types import Array
from lightseg.errors import ConfigError, did_you_mean

HALF = 2
"""Divisor of an equal share of the training data below which a class is rare."""


def rare_classes(
    counts: npt.NDArray[np.int64], classes: Sequence[str], names: Sequence[str] | None = None
) -> tuple[int, ...]:
    """Return the ids of the rare classes in ascending order.

    A class is rare if it has less than half of an equal share of the pixels (or samples): less than 0.5 / C, where C is
    the number of classes that occur. A class that never occurs is not rare, since it has no samples to repeat.

    Args:
        counts: Pixels (or samples) of each class in the training split, `(len(classes),)` int64.
        classes: Class names in the order of their ids.
        names: Names of the rare classes; None: determined from the counts.

    Raises:
        ConfigError: If a name is not a class.
    """
    if names is None:
        is_rare = (counts > 0) & (counts * HALF * np.count_nonzero(counts) < counts.sum())
        return tuple(np.flatnonzero(is_rare).tolist())
    for name in names:
        if name not in classes:
            raise ConfigError(f"data.rare_classes: there is no class '{name}'{did_you_mean(name, classes, 12)}")
    return tuple(index for index, name in enumerate(classes) if name in names)


def classes_present(target: Array | int, classes: Iterable[int]) -> list[int]:
    """Return those of the given class ids that occur in a target, as a dataset returns it."""
    return [label for label in classes if is_class(target, label).any()]
