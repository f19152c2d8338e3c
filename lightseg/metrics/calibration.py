"""Calibration: agreement of the confidence of predictions with their accuracy.

Of classes that may overlap, it is the agreement of the probability of each class with its frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from lightseg.labels import IGNORE
from lightseg.metrics import label_histogram
from lightseg.metrics.scores import mean

BINS = 15
"""Number of confidence bins, as in the paper."""

LABEL_BINS = 16
"""Number of bins of the probability of overlapping classes, each of 64 bins of `label_histogram`."""

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


class LabelCalibration(Metric):
    """Probability and frequency of overlapping classes, by bins of probability.

    Probabilities are those of the middle of their bin of `label_histogram`, at most 1/2048 beside the exact ones.

    Args:
        num_classes: C.
        temperature: Divisor of the logits before the sigmoid, > 0.
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor
    losses: Tensor

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        shape = (num_classes, 2, label_histogram.BINS)
        self.add_state("counts", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("losses", torch.zeros(num_classes, 2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:  # noqa: ARG002
        """Count a batch of images.

        Args:
            logits: `(N, C, H, W)` or `(N, C)` float32.
            target: The same shape, 0, 1 or `IGNORE`, which is not counted; of any integer type.
            index: Indices of the images in the dataset, `(N,)`; unused.
        """
        for image_logits, image_target in zip(logits / self.temperature, target, strict=True):
            probabilities = image_logits.sigmoid()
            self.counts = self.counts + label_histogram.count_probabilities(probabilities[None], image_target[None])
            valid = image_target != IGNORE
            truth = image_target.where(valid, 0).to(image_logits.dtype)
            log_loss = F.binary_cross_entropy_with_logits(image_logits, truth, reduction="none")
            sums = [
                (_to_units(loss) * valid).view(len(valid), -1).sum(1)
                for loss in (log_loss, (probabilities - truth).square())
            ]
            self.losses = self.losses + torch.stack(sums, 1)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the sums for `reliabilities`, int64 `(C, LABEL_BINS, 3)` and `(C, 2)`."""
        total = self.counts.sum(1)
        # twice the middle of a bin in units of 1/BINS is a whole number
        middles = (2 * torch.arange(label_histogram.BINS, device=total.device) + 1) * (
            _UNIT // (2 * label_histogram.BINS)
        )
        rows = torch.stack([total, self.counts[:, 1], total * middles], 2)
        return rows.view(len(rows), LABEL_BINS, -1, 3).sum(2), self.losses


def make_calibration(num_classes: int, multilabel: bool, temperature: float = 1.0) -> Calibration | LabelCalibration:
    """Return the metric of the calibration of a kind of task.

    Args:
        num_classes: Number of classes.
        multilabel: Whether classes may overlap.
        temperature: Divisor of the logits, > 0.
    """
    return LabelCalibration(num_classes, temperature) if multilabel else Calibration(temperature)


@dataclass(frozen=True)
class Reliability:
    """Reliability table, and the calibration errors that follow from it.

    Attributes:
        pixels: Pixels (or samples) with a confidence in each bin, int64 `(bins,)`.
        right: Correctly predicted ones of them, int64 `(bins,)`; of a class that may overlap others, those that have
            it.
        confidence: Sum of their confidences, float64 `(bins,)`; of a class that may overlap others, of its
            probabilities.
        nll: Mean negative log-likelihood of the target, in nats; NaN without pixels, as are the next two.
        brier: Mean squared distance of the probabilities from the one-hot target, summed over the classes, 0 to 2; of a
            class that may overlap others, 0 to 1.
    """

    pixels: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    nll: float
    brier: float

    @classmethod
    def of(cls, counts: Tensor, losses: Tensor) -> Reliability:
        """Return the table of some sums.

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
        if not self.pixels.any():
            return float("nan")
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


class CalibrationErrors(NamedTuple):
    """Calibration errors of a task: expected calibration error, negative log-likelihood, and Brier score."""

    ece: float
    nll: float
    brier: float


def reliabilities(counts: Tensor, losses: Tensor) -> list[Reliability]:
    """Return the table of the confidences, or that of each overlapping class.

    Args:
        counts: Pixels, right ones and sum of confidences of each bin, int64 `(bins, 3)`, or of each class,
            `(C, bins, 3)`.
        losses: Sums of the negative log-likelihoods and of the Brier scores, int64 `(2,)` or `(C, 2)`.
    """
    if counts.ndim == 2:
        return [Reliability.of(counts, losses)]
    return [Reliability.of(*sums) for sums in zip(counts, losses, strict=True)]


def calibration_errors(counts: Tensor, losses: Tensor) -> CalibrationErrors:
    """Return the errors of a task.

    Of overlapping classes, the expected calibration error is the mean of those of the classes, and the other two are
    means over all labels. The arguments are those of `reliabilities`.

    Source: Kull et al. 2019, arXiv:1910.12656, section 2, "classwise-ECE".
    """
    pooled = Reliability.of(counts.reshape(-1, 3), losses.reshape(-1, 2).sum(0))
    errors = np.array([reliability.ece for reliability in reliabilities(counts, losses)])
    return CalibrationErrors(float(mean(errors, 0)), pooled.nll, pooled.brier)


def valid_pixels(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits `(P, C)` and the target `(P,)` of the P valid pixels of an image, or of one sample.

    Args:
        logits: `(C, H, W)` or `(C,)`.
        target: `(H, W)` or `()`, int64, in [0, C) or `IGNORE`.
    """
    target = target.reshape(-1)
    valid = target != IGNORE
    return logits.reshape(len(logits), -1).T[valid], target[valid]


def valid_labels(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the P valid labels of an image as choices of two: logits `(P, 2)` without and with a class, and targets.

    The logit without a class is 0, so that their softmax is the sigmoid of the class's logit.

    Args:
        logits: `(C, H, W)` or `(C,)`, of overlapping classes.
        target: The same shape, 0, 1 or `IGNORE`.
    """
    valid = target != IGNORE
    scores = logits[valid]
    return torch.stack([torch.zeros_like(scores), scores], 1), target[valid].long()


def _to_units(values: Tensor) -> Tensor:
    """Return the values in units of 1/_UNIT, rounded to int64."""
    return (values * _UNIT).round().long()
