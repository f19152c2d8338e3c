"""Metrics: confusion matrices, counts per image, and the scores that follow from them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.metrics.confusion_matrix import (
        ConfusionMatrix,
        PerImageCounts,
        balanced_accuracy,
        classification_scores,
        dice,
        f1,
        frequency_weighted_iou,
        iou,
        macro_dice,
        macro_f1,
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
    "balanced_accuracy",
    "classification_scores",
    "dice",
    "f1",
    "frequency_weighted_iou",
    "iou",
    "macro_dice",
    "macro_f1",
    "mean_accuracy",
    "miou",
    "pixel_accuracy",
    "precision",
    "recall",
    "segmentation_scores",
]

_HOMES = {
    "ConfusionMatrix": "lightseg.metrics.confusion_matrix",
    "PerImageCounts": "lightseg.metrics.confusion_matrix",
    "balanced_accuracy": "lightseg.metrics.confusion_matrix",
    "classification_scores": "lightseg.metrics.confusion_matrix",
    "dice": "lightseg.metrics.confusion_matrix",
    "f1": "lightseg.metrics.confusion_matrix",
    "frequency_weighted_iou": "lightseg.metrics.confusion_matrix",
    "iou": "lightseg.metrics.confusion_matrix",
    "macro_dice": "lightseg.metrics.confusion_matrix",
    "macro_f1": "lightseg.metrics.confusion_matrix",
    "mean_accuracy": "lightseg.metrics.confusion_matrix",
    "miou": "lightseg.metrics.confusion_matrix",
    "pixel_accuracy": "lightseg.metrics.confusion_matrix",
    "precision": "lightseg.metrics.confusion_matrix",
    "recall": "lightseg.metrics.confusion_matrix",
    "segmentation_scores": "lightseg.metrics.confusion_matrix",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: some modules of this package do without torch, which takes seconds."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
