"""Scores from true-positive, target and prediction counts, for many sets of images at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightseg.errors import UserError, did_you_mean

Floats = npt.NDArray[np.float64]
Sums = npt.NDArray[Any]
"""Pixels right, true and predicted of each class, summed over images, `(..., 3, C)`, of any type of number."""


def iou(sums: Sums) -> Floats:
    """Return TP / (TP + FP + FN), float64 `(..., C)`; NaN where a class is in neither truth nor prediction."""
    right, true, predicted = _parts(sums)
    return _ratio(right, true + predicted - right)


def dice(sums: Sums) -> Floats:
    """Return 2 TP / (2 TP + FP + FN), which is F1, float64 `(..., C)`; NaN as above."""
    right, true, predicted = _parts(sums)
    return _ratio(2 * right, true + predicted)


def recall(sums: Sums) -> Floats:
    """Return TP / (TP + FN), float64 `(..., C)`; NaN where the truth has none."""
    right, true, _ = _parts(sums)
    return _ratio(right, true)


def accuracy(sums: Sums) -> Floats:
    """Return the share of pixels (or samples) that are right, float64 `(...)`."""
    right, true, _ = _parts(sums)
    return _ratio(right.sum(-1), true.sum(-1))


def mean(values: Floats, axis: int) -> Floats:
    """Return the mean over an axis of what is not NaN; NaN where there is nothing else."""
    is_defined = ~np.isnan(values)
    return _ratio(np.where(is_defined, values, 0).sum(axis), is_defined.sum(axis))


@dataclass(frozen=True)
class Metric:
    """Score of all classes together, and the one of each class that explains it.

    Attributes:
        name: What readers call it.
        class_name: What they call that of a class.
        of_classes: Sums `(..., 3, C)` to the score of each class, `(..., C)`.
        overall: Sums to the score; None for the mean over the classes that are there.
    """

    name: str
    class_name: str
    of_classes: Callable[[Sums], Floats]
    overall: Callable[[Sums], Floats] | None = None

    def __call__(self, sums: Sums) -> Floats:
        """Return the score and then that of each class, float64 `(..., 1 + C)`."""
        classes = self.of_classes(sums)
        overall = mean(classes, -1) if self.overall is None else self.overall(sums)
        return np.concatenate([overall[..., None], classes], axis=-1)


METRICS = {
    "segmentation": {
        "miou": Metric("mIoU", "IoU", iou),
        "accuracy": Metric("pixel accuracy", "IoU", iou, accuracy),
        "mean_accuracy": Metric("mean accuracy", "recall", recall),
        "dice": Metric("Dice", "Dice", dice),
    },
    "classification": {
        "accuracy": Metric("accuracy", "recall", recall, accuracy),
        "balanced_accuracy": Metric("balanced accuracy", "recall", recall),
        "macro_f1": Metric("macro F1", "F1", dice),
    },
}
"""By kind of task and by the names of `metrics.json`; the first of a kind is its score."""


def metric(kind: str, name: str) -> Metric:
    """Return the metric that is asked for; `score` is what checkpoints are chosen by.

    Raises:
        UserError: If that kind of task has no such metric.
    """
    metrics = METRICS[kind]
    if name == "score":
        return next(iter(metrics.values()))
    if name not in metrics:
        raise UserError(f"--metric {name}: a {kind} has no such metric{did_you_mean(name, metrics, len(metrics))}")
    return metrics[name]


def _parts(sums: Sums) -> tuple[Sums, Sums, Sums]:
    return sums[..., 0, :], sums[..., 1, :], sums[..., 2, :]


def _ratio(part: Sums, total: Sums) -> Floats:
    ratio: Floats = np.divide(part, total, out=np.full(np.shape(total), np.nan), where=np.asarray(total) > 0)
    return ratio
