"""Uncertainty of the net, and its relation to errors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lightseg.metrics.scores import Integers

_STEPS = 1000
"""Number of bins of the uncertainty."""


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy over the classes, normalized: 0 is certain, 1 is uniform.

    Args:
        probabilities: `(K, ...)`.

    Returns:
        `(...)`, in 0..1.
    """
    total: Tensor = torch.special.entr(probabilities).sum(0)
    return total.clamp(min=0) / math.log(max(2, len(probabilities)))


def label_entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of each label, which is a class that may overlap others: 0 is certain, 1 is undecided.

    Args:
        probabilities: Of any shape; so is the result, in 0..1.
    """
    total: Tensor = torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
    return (total / math.log(2)).clamp(0, 1)


@dataclass
class ByUncertainty:
    """Counts of all and of wrong pixels (or images) by uncertainty, summed over images.

    Attributes:
        steps: All and wrong ones in each bin of uncertainty, int64 `(_STEPS, 2)`.
    """

    steps: Integers = field(default_factory=lambda: np.zeros((_STEPS, 2), np.int64))

    def update(self, uncertainty: Tensor, wrong: Tensor) -> None:
        """Count pixels or images.

        Args:
            uncertainty: Normalized entropy, `(P,)` in 0..1.
            wrong: Whether the prediction is wrong, bool `(P,)`.
        """
        step = (uncertainty * _STEPS).long().clamp(0, _STEPS - 1)
        for column, steps in enumerate((step, step[wrong])):
            self.steps[:, column] += steps.bincount(minlength=_STEPS).numpy()

    def errors_among(self, share: float) -> float:
        """Return the share of all errors that is among the most uncertain pixels (or images); NaN without any error.

        Args:
            share: The most uncertain pixels (or images), as a share of all, 0 to 1.
        """
        number, wrong = np.cumsum(self.steps[::-1], axis=0).T
        if not wrong[-1]:
            return math.nan
        # errors are assumed to be distributed evenly within a bin
        return float(np.interp(share * number[-1], np.append(0, number), np.append(0, wrong)) / wrong[-1])
