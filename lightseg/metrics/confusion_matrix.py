"""Confusion matrix, the scores as functions of it, and the counts of each image.

Rows are the truth, columns the prediction. A score that is undefined (0/0) is NaN, and means leave NaN out: a class
that is in neither truth nor prediction is absent, not wrong. TP, FP and FN below are those of one class.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE


class ConfusionMatrix(Metric):
    """Counts of (truth, prediction) over everything seen; ranks add up exactly.

    Args:
        num_classes: C, at most `IGNORE`.

    Raises:
        ConfigError: more classes than there are ids below `IGNORE`.
    """

    is_differentiable = False
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if not 1 <= num_classes <= IGNORE:
            raise ConfigError(f"{num_classes} classes: there must be 1 to {IGNORE}, since {IGNORE} marks void")
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch, or any part of one.

        Args:
            prediction: int64, any shape, in [0, C); anything where the target is `IGNORE`.
            target: int64, the same shape, in [0, C) or `IGNORE`, which is not counted.

        Raises:
            ValueError: the shapes differ or an id is out of range.
        """
        if prediction.shape != target.shape:
            raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
        valid = target != IGNORE
        for name, ids in (("target", target), ("prediction", prediction)):
            # the host may wait for the answer: it waits for bincount anyway
            outside = valid & ((ids < 0) | (ids >= self.num_classes))
            if outside.any():
                wrong_ids = ids[outside].unique().tolist()
                raise ValueError(
                    f"{name} has {wrong_ids}, not class ids in [0, {self.num_classes}) or {IGNORE} (ignore)"
                )
        cells = self.num_classes**2
        # a mask read as uint8 would overflow
        cell = torch.where(valid, target.long() * self.num_classes + prediction, cells)
        # not in place: what was reset in evaluation belongs to it
        self.counts = self.counts + torch.bincount(cell.flatten(), minlength=cells + 1)[:cells].view_as(self.counts)

    def compute(self) -> Tensor:
        """Return the counts, int64 `(C, C)`."""
        return self.counts


class PerImageCounts(Metric):
    """For every image and class that is in its truth or prediction: pixels that are right, true and predicted.

    Their sums over the images are the diagonal, the row sums and the column sums of the confusion matrix. A
    classification is an image of one pixel.

    Args:
        num_classes: C.
    """

    is_differentiable = False
    full_state_update = False
    rows: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget every image."""
        super().reset()
        # a process that has seen no image gives its rows to the others all the same
        self.rows.append(torch.zeros(0, 5, dtype=torch.int64, device=self.device))

    def update(self, prediction: Tensor, target: Tensor, index: Tensor) -> None:
        """Count some images.

        Args:
            prediction: `(N, ...)` int64, in [0, C); anything where the target is `IGNORE`.
            target: `(N, ...)` int64, in [0, C) or `IGNORE`, which is not counted.
            index: Which images they are, `(N,)` int64.
        """
        images, classes = len(target), self.num_classes
        prediction, target = prediction.reshape(images, -1), target.reshape(images, -1)
        first = torch.arange(images, device=target.device)[:, None] * classes
        valid = target != IGNORE

        def count(ids: Tensor, chosen: Tensor) -> Tensor:
            return torch.bincount((first + ids)[chosen], minlength=images * classes).view(images, classes)

        hits, truth = count(target, valid & (target == prediction)), count(target, valid)
        predicted = count(prediction, valid)
        image, label = torch.nonzero(truth + predicted, as_tuple=True)
        cells = [counts[image, label] for counts in (hits, truth, predicted)]
        self.rows.append(torch.stack([index.to(image.device)[image], label, *cells], dim=1))

    def compute(self) -> Tensor:
        """Image, class, right, true and predicted, int64 `(M, 5)`, in the order of images and classes."""
        rows = torch.cat([*self.rows]) if isinstance(self.rows, list) else self.rows
        rows = rows.cpu()
        order = np.lexsort((rows[:, 1].numpy(), rows[:, 0].numpy()))
        return rows[torch.from_numpy(order)]


def iou(counts: Tensor) -> Tensor:
    """Return TP / (TP + FP + FN) per class, float64 `(C,)`; NaN where absent.

    Args:
        counts: int64 `(C, C)`, as for every function below.
    """
    hit, truth, predicted = _marginals(counts)
    return hit / (truth + predicted - hit)


def dice(counts: Tensor) -> Tensor:
    """Return 2 TP / (2 TP + FP + FN) per class, float64 `(C,)`; NaN where absent."""
    hit, truth, predicted = _marginals(counts)
    return 2 * hit / (truth + predicted)


def recall(counts: Tensor) -> Tensor:
    """Return TP / (TP + FN) per class, float64 `(C,)`; NaN where the truth has none."""
    hit, truth, _ = _marginals(counts)
    return hit / truth


def precision(counts: Tensor) -> Tensor:
    """Return TP / (TP + FP) per class, float64 `(C,)`; NaN where it is never predicted."""
    hit, _, predicted = _marginals(counts)
    return hit / predicted


def f1(counts: Tensor) -> Tensor:
    """Return the harmonic mean of precision and recall per class: the same number as `dice`."""
    return dice(counts)


def miou(counts: Tensor) -> float:
    """Return the mean IoU over the classes with TP + FP + FN > 0, the rule of Cityscapes and mmsegmentation."""
    return float(iou(counts).nanmean())


def frequency_weighted_iou(counts: Tensor) -> float:
    """Return the mean IoU weighted by each class's share of the truth.

    Source: Long et al. 2015, arXiv:1411.4038, section 5.
    """
    truth = _marginals(counts)[1]
    return float((truth * iou(counts)).nansum() / truth.sum())


def pixel_accuracy(counts: Tensor) -> float:
    """Return the share of pixels (or samples) that are right."""
    hit, truth, _ = _marginals(counts)
    return float(hit.sum() / truth.sum())


def mean_accuracy(counts: Tensor) -> float:
    """Return the mean recall over the classes present in the truth."""
    return float(recall(counts).nanmean())


def balanced_accuracy(counts: Tensor) -> float:
    """Return what scikit-learn's `balanced_accuracy_score` does: `mean_accuracy` under its name in classification."""
    return mean_accuracy(counts)


def macro_dice(counts: Tensor) -> float:
    """Return the mean Dice over the classes with TP + FP + FN > 0."""
    return float(dice(counts).nanmean())


def macro_f1(counts: Tensor) -> float:
    """Return the mean F1 over the classes with TP + FP + FN > 0.

    It is scikit-learn's `f1_score(average="macro")`, whose classes are those in truth or prediction.
    """
    return float(f1(counts).nanmean())


def segmentation_scores(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the scores of a segmentation, `score` being the mean IoU; NaN where undefined.

    Args:
        counts: int64 `(C, C)`.
        classes: the C names.

    Raises:
        ValueError: there are not C names.
    """
    mean_iou = miou(counts)
    return {
        "score": mean_iou,
        "miou": mean_iou,
        "accuracy": pixel_accuracy(counts),
        "mean_accuracy": mean_accuracy(counts),
        "dice": macro_dice(counts),
        "frequency_weighted_iou": frequency_weighted_iou(counts),
        **_named("iou", iou(counts), classes),
    }


def classification_scores(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the scores of a classification, `score` being the accuracy; NaN where undefined.

    Args:
        counts: int64 `(C, C)`.
        classes: the C names.

    Raises:
        ValueError: there are not C names.
    """
    accuracy = pixel_accuracy(counts)
    return {
        "score": accuracy,
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy(counts),
        "macro_f1": macro_f1(counts),
        **_named("recall", recall(counts), classes),
    }


def _marginals(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return TP, TP + FN and TP + FP, float64 `(C,)` each."""
    # on the host: some accelerators have no float64
    exact = counts.cpu().double()
    return exact.diagonal(), exact.sum(1), exact.sum(0)


def _named(prefix: str, values: Tensor, classes: Sequence[str]) -> dict[str, float]:
    if len(classes) != len(values):
        raise ValueError(f"{len(classes)} class names do not fit a matrix of {len(values)} classes")
    return {f"{prefix}/{name}": value for name, value in zip(classes, values.tolist(), strict=True)}
