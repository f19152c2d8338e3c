"""Uncertainty of the net, and its relation to errors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lightseg.explanation.table import Ints

_STEPS = 1000
"""Steps of uncertainty that pixels are sorted by."""


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy over the classes relative to its greatest value: 0 is certain, 1 says nothing.

    Args:
        probabilities: `(K, ...)`.

    Returns:
        `(...)`, in 0..1.
    """
    total: Tensor = torch.special.entr(probabilities).sum(0)
    return total.clamp(min=0) / math.log(max(2, len(probabilities)))


@dataclass
class ByUncertainty:
    """Pixels (or images) by their uncertainty, and how many of them are wrong; adds up over images.

    Attributes:
        steps: All and wrong ones at each step of uncertainty, int64 `(_STEPS, 2)`.
    """

    steps: Ints = field(default_factory=lambda: np.zeros((_STEPS, 2), np.int64))

    def update(self, uncertainty: Tensor, wrong: Tensor) -> None:
        """Count some pixels or images.

        Args:
            uncertainty: Normalised entropy, `(P,)`.
            wrong: Whether the prediction is, bool `(P,)`.
        """
        step = (uncertainty * _STEPS).long().clamp(0, _STEPS - 1)
        for column, chosen in enumerate((step, step[wrong])):
            self.steps[:, column] += chosen.bincount(minlength=_STEPS).numpy()

    def errors_among(self, share: float) -> float:
        """Return the share of all errors that is among the most uncertain pixels (or images); NaN without any error.

        Args:
            share: How many of them, as a share of all.
        """
        number, wrong = np.cumsum(self.steps[::-1], axis=0).T
        if not wrong[-1]:
            return math.nan
        # within a step, errors are taken for spread evenly
        return float(np.interp(share * number[-1], np.append(0, number), np.append(0, wrong)) / wrong[-1])
