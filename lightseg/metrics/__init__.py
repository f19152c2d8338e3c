"""Metrics: confusion matrices, per-image counts, and the scores that follow from them."""

from typing import TYPE_CHECKING

from lightseg.config.lazy import lazy_getattr

if TYPE_CHECKING:
    from lightseg.metrics.confusion_matrix import ConfusionMatrix, PerImageCounts
    from lightseg.metrics.label_histogram import LabelHistogram, PerImageLabelCounts
    from lightseg.metrics.scores import (
        classification_scores,
        confusion_to_counts,
        dice,
        frequency_weighted_iou,
        iou,
        macro_dice,
        mean_accuracy,
        miou,
        pixel_accuracy,
        precision,
        recall,
        segmentation_scores,
    )

__all__ = [
    "ConfusionMatrix",
    "LabelHistogram",
    "PerImageCounts",
    "PerImageLabelCounts",
    "classification_scores",
    "confusion_to_counts",
    "dice",
    "frequency_weighted_iou",
    "iou",
    "macro_dice",
    "mean_accuracy",
    "miou",
    "pixel_accuracy",
    "precision",
    "recall",
    "segmentation_scores",
]

__getattr__ = lazy_getattr(
    __name__,
    dict.fromkeys(__all__, "scores")
    | dict.fromkeys(("ConfusionMatrix", "PerImageCounts"), "confusion_matrix")
    | dict.fromkeys(("LabelHistogram", "PerImageLabelCounts"), "label_histogram"),
)
