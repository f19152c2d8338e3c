"""Metrics: confusion matrices, per-image counts, and the scores that follow from them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.metrics.confusion_matrix import ConfusionMatrix, PerImageCounts
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
    "PerImageCounts",
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

_COUNTERS = ("ConfusionMatrix", "PerImageCounts")


def __getattr__(name: str) -> Any:
    """Import a name on first use: only the counters need torch, whose import takes seconds."""
    if name in __all__:
        module = "confusion_matrix" if name in _COUNTERS else "scores"
        return getattr(import_module(f"lightseg.metrics.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
