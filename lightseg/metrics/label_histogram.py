"""Probabilities of overlapping classes: their histograms, and the thresholds and scores that follow from these.

All counts are integers, so that scores are exact and the same on any number of processes. Probabilities are binned, and
thresholds are multiples of `1 / BINS`, at which the counts of the bins are those of the pixels themselves; average
precision and area under the ROC curve are those of the binned probabilities.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.labels import IGNORE
from lightseg.metrics.confusion_matrix import PerImageCounts
from lightseg.metrics.scores import Counts, Floats, Integers

BINS = 1024
"""Number of equal bins of probability in 0 to 1, each with its lower end."""


class LabelHistogram(Metric):
    """Pixels (or samples) without and with each class, by their probability of it; the counts of the ranks are summed.

    Args:
        num_classes: C.
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, 2, BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probability: Tensor, target: Tensor) -> None:
        """Count a batch, or a part of one.

        Args:
            probability: `(N, C, ...)` in 0 to 1, of any numeric type; any value where the target is `IGNORE`.
            target: The same shape, 0, 1 or `IGNORE`, which is not counted; of any integer type.

        Raises:
            ValueError: If the shapes differ or a target has another value.
        """
        # not in place: another reference may hold the counts of before
        self.counts = self.counts + count_probabilities(probability, target)

    def compute(self) -> Tensor:
        """Return the counts, int64 `(C, 2, BINS)`."""
        return self.counts


def count_probabilities(probability: Tensor, target: Tensor) -> Tensor:
    """Return the pixels (or samples) without and with each class, by their probability of it, int64 `(C, 2, BINS)`.

    The arguments and errors are those of `LabelHistogram.update`.
    """
    if probability.shape != target.shape:
        raise ValueError(f"probability {tuple(probability.shape)} and target {tuple(target.shape)} differ in shape")
    valid = target != IGNORE
    if (valid & (target != 0) & (target != 1)).any():
        raise ValueError(f"target has {target[valid].unique().tolist()}, not 0, 1 or {IGNORE} (ignore)")
    shape = (target.shape[1], 2, BINS)
    classes = torch.arange(shape[0], dtype=torch.int32, device=target.device)
    first = (2 * BINS * classes).view(-1, *[1] * (target.ndim - 2))
    # the product is exact, since the number of bins is a power of 2
    bins = (probability.float() * BINS).int().clamp(0, BINS - 1)
    cells = math.prod(shape)
    cell = torch.where(valid, first + BINS * target.int() + bins, cells)
    return torch.bincount(cell.flatten(), minlength=cells + 1)[:cells].view(shape)


class PerImageLabelCounts(PerImageCounts):
    """True-positive, target and prediction pixels of every image and class with a valid pixel.

    A sample of a classification counts as an image of one pixel.
    """

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Count some images.

        Args:
            prediction: `(N, C, ...)`, 0 or 1; any value where the target is `IGNORE`.
            target: The same shape, 0, 1 or `IGNORE`, which is not counted.
            index: Indices of the images in the dataset, `(N,)` int64.
        """
        valid, truth = target != IGNORE, target == 1
        predicted = valid & (prediction == 1)
        parts = (valid, truth & predicted, truth, predicted)
        # of a classification, the sum over no dimension would be one over all
        counts = torch.stack([part.flatten(2).sum(2) if part.ndim > 2 else part.long() for part in parts])
        image, label = torch.nonzero(counts[0], as_tuple=True)
        self.rows.append(torch.stack([index.to(image.device)[image], label, *counts[1:, image, label]], dim=1))


def round_threshold(threshold: float) -> float:
    """Return the nearest multiple of `1 / BINS` inside 0 to 1."""
    return min(max(round(threshold * BINS), 1), BINS - 1) / BINS


def confusion_at(histogram: Integers, thresholds: Sequence[float]) -> Integers:
    """Return the 2 × 2 confusion matrix of each class, int64 `(C, 2, 2)`; rows are the truth, columns the prediction.

    Args:
        histogram: `LabelHistogram.compute`, int64 `(C, 2, BINS)`.
        thresholds: Least probability of a positive of each class, multiples of `1 / BINS`.
    """
    bins = (np.asarray(thresholds) * BINS).astype(np.int64)
    is_predicted = np.arange(BINS) >= bins[:, None]
    predicted = (histogram * is_predicted[:, None]).sum(2)
    return np.stack([histogram.sum(2) - predicted, predicted], axis=2)


def confusion_to_label_counts(confusion: Integers) -> Counts:
    """Return true-positive, target and prediction pixels of each class, `(3, C)`, from 2 × 2 confusion matrices.

    Args:
        confusion: int64 `(C, 2, 2)`.
    """
    return np.stack([confusion[:, 1, 1], confusion[:, 1].sum(1), confusion[:, :, 1].sum(1)])


def fit_thresholds(histogram: Integers) -> list[float]:
    """Return the threshold of each class with the highest F1, and thus the highest IoU; of equal ones that nearest 0.5.

    A class without positives has 0.5.

    Args:
        histogram: `LabelHistogram.compute`, int64 `(C, 2, BINS)`.
    """
    # of each threshold 1 / BINS, 2 / BINS, …
    negatives, positives = np.cumsum(histogram[:, :, ::-1], axis=2)[:, :, -2::-1].transpose(1, 0, 2)
    total = histogram[:, 1].sum(1, keepdims=True)
    f1 = 2 * positives / np.maximum(negatives + positives + total, 1)
    edges = np.arange(1, BINS)
    order = np.argsort(np.abs(edges - BINS // 2), kind="stable")
    thresholds: list[float] = (edges[order[f1[:, order].argmax(1)]] / BINS).tolist()
    return thresholds


def average_precision(histogram: Integers) -> Floats:
    """Return the average precision of each class, float64 `(C,)`; NaN without positives.

    It is scikit-learn's `average_precision_score` of the binned probabilities: the sum of the precision at each
    threshold times the recall that it adds.
    """
    negatives, positives = histogram[:, :, ::-1].transpose(1, 0, 2).astype(np.float64)
    hits, predicted = positives.cumsum(1), (negatives + positives).cumsum(1)
    total = positives.sum(1)
    precision_sum = (positives * hits / np.maximum(predicted, 1)).sum(1)
    return _ratio(precision_sum, total)


def roc_auc(histogram: Integers) -> Floats:
    """Return the area under the ROC curve of each class, float64 `(C,)`; NaN without positives or negatives.

    It is scikit-learn's `roc_auc_score` of the binned probabilities: the share of the pairs of a negative and a
    positive in which the positive is the more probable one, pairs of one bin counting half.
    """
    negatives, positives = histogram.transpose(1, 0, 2).astype(np.float64)
    below = negatives.cumsum(1) - negatives / 2
    pairs = positives.sum(1) * negatives.sum(1)
    return _ratio((positives * below).sum(1), pairs)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotients; NaN where the denominator is 0."""
    quotients: Floats = np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
    return quotients


def exact_match(rows: Tensor) -> float:
    """Return the share of the images of which every valid label is right; NaN without images.

    Args:
        rows: `PerImageLabelCounts.compute` of a classification.
    """
    image, _, hits, truth, predicted = rows.T
    images, position = image.unique(return_inverse=True)
    wrong = torch.zeros(len(images), dtype=torch.int64).index_add_(0, position, truth + predicted - 2 * hits)
    return float((wrong == 0).double().mean())
