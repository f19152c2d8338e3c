"""Scores from true-positive, target and prediction counts, for many sets of images at once.

A score that is undefined (0/0) is NaN, and means leave NaN out: a class that is in neither target nor prediction is
absent, not wrong. TP, FP and FN below are those of one class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightseg.errors import UserError, did_you_mean

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
ScoreKind = Literal["segmentation", "classification", "multilabel_segmentation", "multilabel_classification"]
"""Kind of task, with overlapping classes or without, which defines its metrics."""

Counts = npt.NDArray[Any]
"""True-positive, target and prediction pixels of each class, `(..., 3, C)`, of any numeric type."""


def confusion_to_counts(confusion: Integers) -> Counts:
    """Return the counts of each class, `(..., 3, C)`, from confusion matrices.

    Args:
        confusion: int64 `(..., C, C)`; rows are the target, columns the prediction.
    """
    true_positives = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([true_positives, confusion.sum(-1), confusion.sum(-2)], axis=-2)


def iou(counts: Counts) -> Floats:
    """Return TP / (TP + FP + FN), float64 `(..., C)`; NaN where a class is in neither target nor prediction.

    Args:
        counts: `(..., 3, C)`, as for every function below.
    """
    true_positives, target, prediction = _split(counts)
    return _ratio(true_positives, target + prediction - true_positives)


def dice(counts: Counts) -> Floats:
    """Return 2 TP / (2 TP + FP + FN), which is F1, float64 `(..., C)`; NaN as for `iou`."""
    true_positives, target, prediction = _split(counts)
    return _ratio(2 * true_positives, target + prediction)


def recall(counts: Counts) -> Floats:
    """Return TP / (TP + FN), float64 `(..., C)`; NaN where the target has none."""
    true_positives, target, _ = _split(counts)
    return _ratio(true_positives, target)


def precision(counts: Counts) -> Floats:
    """Return TP / (TP + FP), float64 `(..., C)`; NaN where a class is never predicted."""
    true_positives, _, prediction = _split(counts)
    return _ratio(true_positives, prediction)


def pixel_accuracy(counts: Counts) -> Floats:
    """Return the share of correct pixels (or samples), float64 `(...)`."""
    true_positives, target, _ = _split(counts)
    return _ratio(true_positives.sum(-1), target.sum(-1))


def miou(counts: Counts) -> Floats:
    """Return the mean IoU over the classes with TP + FP + FN > 0, the rule of Cityscapes and mmsegmentation."""
    return mean(iou(counts), -1)


def macro_dice(counts: Counts) -> Floats:
    """Return the mean Dice over the classes with TP + FP + FN > 0.

    It is scikit-learn's `f1_score(average="macro")`, whose classes are those in target or prediction.
    """
    return mean(dice(counts), -1)


def mean_accuracy(counts: Counts) -> Floats:
    """Return the mean recall over the classes in the target, which is scikit-learn's `balanced_accuracy_score`."""
    return mean(recall(counts), -1)


def frequency_weighted_iou(counts: Counts) -> Floats:
    """Return the mean IoU weighted by each class's share of the target.

    Source: Long et al. 2015, arXiv:1411.4038, section 5.
    """
    target = counts[..., 1, :]
    return _ratio(np.nan_to_num(target * iou(counts)).sum(-1), target.sum(-1))


def micro_f1(counts: Counts) -> Floats:
    """Return F1 of the sums over the classes, which is Dice of all classes together; NaN as for `iou`."""
    return dice(counts.sum(-1, keepdims=True))[..., 0]


def micro_precision(counts: Counts) -> Floats:
    """Return precision of the sums over the classes; NaN where no class is ever predicted."""
    return precision(counts.sum(-1, keepdims=True))[..., 0]


def micro_recall(counts: Counts) -> Floats:
    """Return recall of the sums over the classes; NaN where the target has none."""
    return recall(counts.sum(-1, keepdims=True))[..., 0]


def mean(values: Floats, axis: int) -> Floats:
    """Return the mean over an axis without NaN values; NaN where all values are NaN."""
    is_defined = ~np.isnan(values)
    return _ratio(np.where(is_defined, values, 0).sum(axis), is_defined.sum(axis))


@dataclass(frozen=True)
class ScoreFunction:
    """Overall score, and the score of each class that explains it.

    Attributes:
        name: Name for readers.
        class_name: Name for readers of the score of a class.
        per_class: Function from counts `(..., 3, C)` to the score of each class, `(..., C)`.
        overall: Function from counts to the score, `(...)`; None for the mean of `per_class`.
    """

    name: str
    class_name: str
    per_class: Callable[[Counts], Floats]
    overall: Callable[[Counts], Floats] | None = None

    def __call__(self, counts: Counts) -> Floats:
        """Return the overall score followed by that of each class, float64 `(..., 1 + C)`."""
        classes = self.per_class(counts)
        overall = mean(classes, -1) if self.overall is None else self.overall(counts)
        return np.concatenate([overall[..., None], classes], axis=-1)


_MULTILABEL = {
    "micro_f1": ScoreFunction("micro F1", "F1", dice, micro_f1),
    "precision": ScoreFunction("precision", "precision", precision),
    "recall": ScoreFunction("recall", "recall", recall),
    "micro_precision": ScoreFunction("micro precision", "precision", precision, micro_precision),
    "micro_recall": ScoreFunction("micro recall", "recall", recall, micro_recall),
}

METRICS: dict[ScoreKind, dict[str, ScoreFunction]] = {
    "segmentation": {
        "miou": ScoreFunction("mIoU", "IoU", iou),
        "accuracy": ScoreFunction("pixel accuracy", "IoU", iou, pixel_accuracy),
        "mean_accuracy": ScoreFunction("mean accuracy", "recall", recall),
        "dice": ScoreFunction("Dice", "Dice", dice),
        "frequency_weighted_iou": ScoreFunction("frequency-weighted IoU", "IoU", iou, frequency_weighted_iou),
    },
    "classification": {
        "accuracy": ScoreFunction("accuracy", "recall", recall, pixel_accuracy),
        "balanced_accuracy": ScoreFunction("balanced accuracy", "recall", recall),
        "macro_f1": ScoreFunction("macro F1", "F1", dice),
    },
    "multilabel_segmentation": {
        "miou": ScoreFunction("mIoU", "IoU", iou),
        "dice": ScoreFunction("Dice", "Dice", dice),
        **_MULTILABEL,
    },
    "multilabel_classification": {
        "macro_f1": ScoreFunction("macro F1", "F1", dice),
        **_MULTILABEL,
    },
}
"""By kind of task and by the names of `metrics.json`; the first of a kind is its score."""


def segmentation_scores(confusion: npt.ArrayLike, classes: Sequence[str]) -> dict[str, float]:
    """Return the scores of a segmentation, `score` being the mean IoU; NaN where undefined.

    Args:
        confusion: int64 `(C, C)`.
        classes: C class names.

    Raises:
        ValueError: If there are not C names.
    """
    return _named_scores("segmentation", confusion_to_counts(np.asarray(confusion)), classes)


def classification_scores(confusion: npt.ArrayLike, classes: Sequence[str]) -> dict[str, float]:
    """Return the scores of a classification, `score` being the accuracy; NaN where undefined.

    Args:
        confusion: int64 `(C, C)`.
        classes: C class names.

    Raises:
        ValueError: If there are not C names.
    """
    return _named_scores("classification", confusion_to_counts(np.asarray(confusion)), classes)


def multilabel_scores(counts: Counts, classes: Sequence[str], kind: ScoreKind) -> dict[str, float]:
    """Return the scores of overlapping classes; NaN where undefined.

    Args:
        counts: True-positive, target and prediction pixels (or samples) of each class, `(3, C)`.
        classes: C class names.
        kind: `multilabel_segmentation`, of which `score` is the mean IoU, or `multilabel_classification`, of which it
            is the mean F1.
    """
    scores = _named_scores(kind, counts, classes)
    for name, function in (("precision", precision), ("recall", recall)):
        scores |= {f"{name}/{label}": value for label, value in zip(classes, function(counts).tolist(), strict=True)}
    return scores


def get_metric(kind: ScoreKind, name: str) -> ScoreFunction:
    """Return a metric of a kind of task by its name; `score` is the one that chooses checkpoints.

    Raises:
        UserError: If the kind of task has no such metric.
    """
    metrics = METRICS[kind]
    if name == "score":
        return next(iter(metrics.values()))
    if name not in metrics:
        described = kind.replace("multilabel_", "multi-label ")
        raise UserError(f"--metric {name}: a {described} has no such metric{did_you_mean(name, metrics, len(metrics))}")
    return metrics[name]


def _split(counts: Counts) -> tuple[Counts, Counts, Counts]:
    return counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]


def _ratio(numerator: Counts, denominator: Counts) -> Floats:
    """Return the quotients, float64; NaN where the denominator is 0."""
    undefined = np.full(np.shape(denominator), np.nan)
    ratio: Floats = np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) > 0)
    return ratio


def _named_scores(kind: ScoreKind, counts: Counts, classes: Sequence[str]) -> dict[str, float]:
    """Return the overall scores by name, then that of each class as `PREFIX/CLASS`."""
    if len(classes) != counts.shape[-1]:
        raise ValueError(f"{len(classes)} class names do not fit a matrix of {counts.shape[-1]} classes")
    score = get_metric(kind, "score")
    overall, *by_class = score(counts).tolist()
    scores = {"score": overall} | {name: float(metric(counts)[0]) for name, metric in METRICS[kind].items()}
    return scores | {f"{score.class_name.lower()}/{name}": value for name, value in zip(classes, by_class, strict=True)}
