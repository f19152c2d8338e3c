"""Temperature scaling: one number by which logits are divided, so that confidence means what it says."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.metrics.calibration import valid_pixels

SAMPLE = 2**22
"""Logits that are kept to fit a temperature on, over all processes and classes."""

LIMIT = 100.0
"""Temperatures are looked for between 1 / LIMIT and LIMIT."""

_STEPS = 32


class LogitSample(Metric):
    """Logits of all valid pixels (or samples), or of an even sample of them that is the same every time.

    Args:
        every: Of each image, every so many-th valid pixel, beginning at one that depends on the image's index.
    """

    is_differentiable = False
    full_state_update = False
    logits: list[Tensor]
    target: list[Tensor]

    def __init__(self, every: int, num_classes: int) -> None:
        super().__init__()
        self.every, self.num_classes = every, num_classes
        self.add_state("logits", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        # a process that has seen no image gives its sample to the others all the same
        self.logits.append(torch.zeros(0, self.num_classes, device=self.device))
        self.target.append(torch.zeros(0, dtype=torch.int64, device=self.device))

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Keep a sample of some images; the arguments are those of `Calibration.update`."""
        for image_logits, truth, number in zip(logits, target, index.tolist(), strict=True):
            scores, ids = valid_pixels(image_logits, truth)
            first = number % self.every
            self.logits.append(scores[first :: self.every].clone())
            self.target.append(ids[first :: self.every])

    def compute(self) -> tuple[Tensor, Tensor]:
        """Logits, float32 `(P, C)`, and truth, int64 `(P,)`, on the host."""
        logits, target = (torch.cat([*part]) if isinstance(part, list) else part for part in (self.logits, self.target))
        return logits.cpu(), target.cpu()


def sampling(pixels: int, num_classes: int) -> int:
    """Every how many-th of so many valid pixels is kept, so that `SAMPLE` logits are enough."""
    return -(-pixels * num_classes // SAMPLE)


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """Return the temperature with the lowest negative log-likelihood, between 1 / LIMIT and LIMIT, to six digits.

    The likelihood is convex in 1 / T, so its slope has one root, which is found by halving.

    Args:
        logits: `(P, C)`.
        target: `(P,)` in [0, C).

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    logits = logits.double()
    true = logits.gather(1, target[:, None]).mean()

    def slope(factor: float) -> float:
        return float(((factor * logits).softmax(1) * logits).sum(1).mean() - true)

    low, high = 1 / LIMIT, LIMIT
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(f"{(low * high) ** -0.5:.6g}")
