"""Calibration: whether what is said with 80 % confidence is right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE

BINS = 15
"""As many as in the paper."""

_UNIT = 2**24
"""Sums are whole numbers of 1/_UNIT, so that they do not depend on their order; 500 billion pixels fit an int64."""


class Calibration(Metric):
    """Confidence of the predictions of pixels (or samples), against how often they are right.

    The prediction is the largest logit whatever the temperature is, and its confidence the softmax of the logits over
    the temperature there.

    Args:
        temperature: What the logits are divided by.
        bins: Confidences are told apart by so many equal intervals of 0..1, each without its lower end.
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
        """Count some images.

        Args:
            logits: `(N, C, H, W)`, or `(N, C)` of a classification; float32.
            target: `(N, H, W)` or `(N,)` int64, in [0, C) or `IGNORE`, which is not counted.
            index: Which images they are.
        """
        # image by image: the probabilities of a batch of large ones take much memory
        for image_logits, truth in zip(logits, target, strict=True):
            self._update(*valid_pixels(image_logits, truth))

    def _update(self, logits: Tensor, target: Tensor) -> None:
        log_shares = (logits / self.temperature).log_softmax(1)
        shares = log_shares.exp()
        label = logits.argmax(1, keepdim=True)
        confidence = shares.gather(1, label)[:, 0]
        right = label[:, 0] == target
        rows = torch.stack([torch.ones_like(target), right, _whole(confidence)], 1)
        edges = self.get_buffer("edges")
        self.counts = self.counts.index_add(0, torch.bucketize(confidence, edges), rows)
        log_share = log_shares.gather(1, target[:, None])[:, 0]
        brier = shares.square().sum(1) - 2 * log_share.exp() + 1
        self.losses = self.losses + torch.stack([_whole(-log_share).sum(), _whole(brier).sum()])

    def compute(self) -> tuple[Tensor, Tensor]:
        """Sums for `Reliability.of`: int64 `(bins, 3)` and `(2,)`."""
        return self.counts, self.losses


@dataclass(frozen=True)
class Reliability:
    """Reliability table and what follows from it.

    Attributes:
        pixels: Pixels (or samples) whose confidence is in each bin, int64 `(bins,)`.
        right: Those of them that are predicted rightly, int64 `(bins,)`.
        confidence: Sum of their confidences, float64 `(bins,)`.
        nll: Mean negative log-likelihood of the truth, in nats.
        brier: Mean squared distance of the probabilities from the truth, summed over the classes, 0 to 2.
    """

    pixels: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    nll: float
    brier: float

    @classmethod
    def of(cls, counts: Tensor, losses: Tensor) -> Reliability:
        """Return the table of what `Calibration.compute` gives; there must be a pixel in it."""
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
        """Return a row for each bin that is not empty: its ends, pixels, mean confidence and accuracy."""
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
    """Return logits `(P, C)` and truth `(P,)` of one image's P valid pixels; a classification has one pixel.

    Args:
        logits: `(C, H, W)` or `(C,)`.
        target: `(H, W)` or `()`, in [0, C) or `IGNORE`.
    """
    target = target.reshape(-1)
    valid = target != IGNORE
    return logits.reshape(len(logits), -1).T[valid], target[valid]


def _whole(values: Tensor) -> Tensor:
    """Values as whole numbers of 1/_UNIT, int64."""
    return (values * _UNIT).round().long()
