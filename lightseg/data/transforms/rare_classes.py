"""Rare classes of a training split and of a sample."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lightseg.errors import ConfigError, did_you_mean

HALF = 2
"""How many times less than an equal share of the training data makes a class rare."""


def rare_classes(
    counts: npt.NDArray[np.int64], classes: Sequence[str], names: Sequence[str] | None = None
) -> tuple[int, ...]:
    """Return the ids of the rare classes, in order.

    Rare is a class that has less than half of an equal share of the pixels (or samples): less than 0.5 / C, C being the
    number of classes that occur. A class that never occurs is not rare: there is nothing to be made more of.

    Args:
        counts: Pixels (or samples) of each class in the training split, `(len(classes),)`.
        classes: Class names in the order of their ids.
        names: The rare classes by name, instead of those that the counts tell.

    Raises:
        ConfigError: If a name is no class.
    """
    if names is None:
        rare = (counts > 0) & (counts * HALF * np.count_nonzero(counts) < counts.sum())
        return tuple(np.flatnonzero(rare).tolist())
    for name in names:
        if name not in classes:
            raise ConfigError(f"data.rare_classes: there is no class '{name}'{did_you_mean(name, classes, 12)}")
    return tuple(index for index, name in enumerate(classes) if name in names)


def classes_present(target: npt.NDArray[np.integer] | int, classes: Iterable[int]) -> list[int]:
    """Those of some classes that a target holds: a mask of class ids, or the class id of a sample."""
    return [label for label in classes if np.any(np.equal(target, label))]
