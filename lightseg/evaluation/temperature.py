"""Temperature scaling: a divisor of the logits that calibrates the confidence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.metrics.calibration import valid_pixels

SAMPLE = 2**22
"""Largest number of logits to fit a temperature on, over all processes and classes."""

LIMIT = 100.0
"""Temperatures lie between 1 / LIMIT and LIMIT."""

_STEPS = 32


Select = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Function from logits and target of an image to those of its valid pixels, `(P, C)` and `(P,)`."""


class LogitSample(Metric):
    """Logits of all valid pixels (or samples), or of a reproducible even sample of them.

    Args:
        stride: Distance of the sampled valid pixels of an image, of which the first depends on the image's index.
        num_classes: Number of classes that exclude each other.
        select: `valid_pixels`, or `valid_labels` of overlapping classes, which are a choice of two each.
    """

    is_differentiable = False
    full_state_update = False
    logits: list[Tensor]
    target: list[Tensor]

    def __init__(self, stride: int, num_classes: int, select: Select = valid_pixels) -> None:
        super().__init__()
        self.stride, self.num_classes, self.select = stride, num_classes, select
        self.add_state("logits", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Remove the sample."""
        super().reset()
        # a process without images takes part in the gathering with an empty sample
        self.logits.append(torch.zeros(0, self.num_classes, device=self.device))
        self.target.append(torch.zeros(0, dtype=torch.int64, device=self.device))

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Add a sample of some images; the arguments are those of `Calibration.update`."""
        for image_logits, image_target, number in zip(logits, target, index.tolist(), strict=True):
            scores, ids = self.select(image_logits, image_target)
            first = number % self.stride
            self.logits.append(scores[first :: self.stride].clone())
            self.target.append(ids[first :: self.stride])

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return logits, float32 `(P, C)`, and targets, int64 `(P,)`, on the CPU."""
        logits, target = (torch.cat([*part]) if isinstance(part, list) else part for part in (self.logits, self.target))
        return logits.cpu(), target.cpu()


def sampling_stride(pixels: int, num_classes: int) -> int:
    """Return the stride that reduces a number of valid pixels to at most `SAMPLE` logits."""
    return -(-pixels * num_classes // SAMPLE)


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """Return the temperature with the lowest negative log-likelihood, between 1 / LIMIT and LIMIT, to six digits.

    The negative log-likelihood is convex in 1 / T, so its slope has one root, computed by bisection.

    Args:
        logits: `(P, C)`.
        target: `(P,)` in [0, C).

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    logits = logits.double()
    target_mean = logits.gather(1, target[:, None]).mean()

    def slope(factor: float) -> float:
        return float(((factor * logits).softmax(1) * logits).sum(1).mean() - target_mean)

    low, high = 1 / LIMIT, LIMIT
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(f"{(low * high) ** -0.5:.6g}")
