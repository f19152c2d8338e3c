"""Extra metrics of an evaluation, beside the confusion matrix."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics import Metric

from lightseg.metrics import boundary_iou, object_recall
from lightseg.metrics.boundary_iou import BoundaryIoU
from lightseg.metrics.calibration import Calibration, Reliability
from lightseg.metrics.object_recall import ObjectRecall
from lightseg.tasks import Task

MetricResults = dict[str, Any]
"""Result of each extra metric, by its name."""


def make(task: Task, width: float, temperature: float) -> dict[str, Metric]:
    """Return the extra metrics of a task.

    Args:
        task: The task.
        width: Width of the boundary band as a share of the image's diagonal.
        temperature: Temperature whose calibration is measured in addition to that of 1.
    """
    if task.multilabel:
        # they are of one prediction for each pixel; the scores of the task have those of its probabilities
        return {}
    num_classes = len(task.classes)
    metrics: dict[str, Metric] = {"calibration": Calibration()}
    if temperature != 1:
        metrics["calibrated"] = Calibration(temperature)
    if task.kind == "segmentation":
        metrics |= {"boundary": BoundaryIoU(num_classes, width), "objects": ObjectRecall(num_classes)}
    return metrics


def numbers(results: MetricResults, classes: list[str]) -> dict[str, float]:
    """Return every number of the extra metrics by name, NaN where undefined."""
    values: dict[str, float] = {}
    for metric, scores in (("boundary", boundary_iou.scores), ("objects", object_recall.scores)):
        if metric in results:
            values |= scores(results[metric], classes)
    for metric, suffix in (("calibration", ""), ("calibrated", "_calibrated")):
        if metric in results:
            reliability = Reliability.of(*results[metric])
            values |= {
                f"ece{suffix}": reliability.ece,
                f"nll{suffix}": reliability.nll,
                f"brier{suffix}": reliability.brier,
            }
    return values


def details(results: MetricResults, classes: list[str]) -> dict[str, Any]:
    """Return the counts behind the numbers, as plain data: pixels and objects, and reliability tables."""
    counts: dict[str, Any] = {}
    if "boundary" in results:
        counts["boundary"] = _nested(results["boundary"].T, classes, ("both", "truth", "prediction"))
    if "objects" in results:
        columns = ("objects", "found", "pixels", "right")
        counts["objects"] = {
            name: _nested(sizes, object_recall.SIZES, columns)
            for name, sizes in zip(classes, results["objects"], strict=True)
        }
    for metric in ("calibration", "calibrated"):
        if metric in results:
            counts[metric] = Reliability.of(*results[metric]).table
    return counts


def _nested(counts: Tensor, rows: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return counts `(R, C)` by the name of the row and of the column."""
    return {name: dict(zip(columns, values, strict=True)) for name, values in zip(rows, counts.tolist(), strict=True)}
