"""Calibration: agreement of the confidence of predictions with their accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE

BINS = 15
"""Number of confidence bins, as in the paper."""

_UNIT = 2**24
"""Sums are integers in units of 1/_UNIT, so that they do not depend on their order; 500 billion pixels fit int64."""


class Calibration(Metric):
    """Confidence and accuracy of the predictions of pixels (or samples), by bins of confidence.

    The prediction is the class of the largest logit at any temperature; its confidence is its softmax probability,
    of the logits divided by the temperature.

    Args:
        temperature: Divisor of the logits, > 0.
        bins: Number of equal bins of confidence in 0 to 1, each without its lower end.
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor
    losses: Tensor

    def __init__(self, temperature: float = 1.0, bins: int = BINS) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("edges", torch.arange(1, bins) / bins, persistent=False)
        self.add_state("counts", torch.zeros(bins, 3, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("losses", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:  # noqa: ARG002
        """Count a batch of images.

        Args:
            logits: `(N, C, H, W)`, or `(N, C)` of a classification; float32.
            target: `(N, H, W)` or `(N,)` int64, in [0, C) or `IGNORE`, which is not counted.
            index: Indices of the images in the dataset, `(N,)`; unused.
        """
        # image by image, since the probabilities of a batch of large images take much memory
        for image_logits, image_target in zip(logits, target, strict=True):
            self._update(*valid_pixels(image_logits, image_target))

    def _update(self, logits: Tensor, target: Tensor) -> None:
        log_probabilities = (logits / self.temperature).log_softmax(1)
        probabilities = log_probabilities.exp()
        label = logits.argmax(1, keepdim=True)
        confidence = probabilities.gather(1, label)[:, 0]
        is_correct = label[:, 0] == target
        rows = torch.stack([torch.ones_like(target), is_correct, _to_units(confidence)], 1)
        edges = self.get_buffer("edges")
        self.counts = self.counts.index_add(0, torch.bucketize(confidence, edges), rows)
        log_likelihood = log_probabilities.gather(1, target[:, None])[:, 0]
        brier = probabilities.square().sum(1) - 2 * log_likelihood.exp() + 1
        self.losses = self.losses + torch.stack([_to_units(-log_likelihood).sum(), _to_units(brier).sum()])

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the sums for `Reliability.of`, int64 `(bins, 3)` and `(2,)`."""
        return self.counts, self.losses


@dataclass(frozen=True)
class Reliability:
    """Reliability table, and the calibration errors that follow from it.

    Attributes:
        pixels: Pixels (or samples) with a confidence in each bin, int64 `(bins,)`.
        right: Correctly predicted ones of them, int64 `(bins,)`.
        confidence: Sum of their confidences, float64 `(bins,)`.
        nll: Mean negative log-likelihood of the target, in nats.
        brier: Mean squared distance of the probabilities from the one-hot target, summed over the classes, 0 to 2.
    """

    pixels: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    nll: float
    brier: float

    @classmethod
    def of(cls, counts: Tensor, losses: Tensor) -> Reliability:
        """Return the table of the sums of at least one pixel.

        Args:
            counts: Pixels, correct pixels and sum of confidences of each bin, int64 `(bins, 3)`.
            losses: Sums of the negative log-likelihoods and of the Brier scores, int64 `(2,)`.
        """
        pixels, right, confidence = counts.cpu().numpy().T
        nll, brier = (losses.cpu().double() / _UNIT / float(pixels.sum())).tolist()
        return cls(pixels, right, confidence / _UNIT, nll, brier)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of accuracy from confidence over the bins, weighted by pixels.

        Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
        """
        return float(np.abs(self.right - self.confidence).sum() / self.pixels.sum())

    @property
    def table(self) -> list[dict[str, float]]:
        """Rows of the bins that are not empty: ends, pixels, mean confidence and accuracy."""
        bins = len(self.pixels)
        return [
            {
                "above": number / bins,
                "to": (number + 1) / bins,
                "pixels": int(pixels),
                "confidence": float(self.confidence[number] / pixels),
                "accuracy": float(self.right[number] / pixels),
            }
            for number, pixels in enumerate(self.pixels)
            if pixels
        ]


def valid_pixels(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits `(P, C)` and the target `(P,)` of the P valid pixels of an image, or of one sample.

    Args:
        logits: `(C, H, W)` or `(C,)`.
        target: `(H, W)` or `()`, int64, in [0, C) or `IGNORE`.
    """
    target = target.reshape(-1)
    valid = target != IGNORE
    return logits.reshape(len(logits), -1).T[valid], target[valid]


def _to_units(values: Tensor) -> Tensor:
    """Return the values in units of 1/_UNIT, rounded to int64."""
    return (values * _UNIT).round().long()
