"""Extra metrics of an evaluation, beside the confusion matrix."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics import Metric

from lightseg.metrics import boundary_iou, object_recall
from lightseg.metrics.boundary_iou import BoundaryIoU
from lightseg.metrics.calibration import calibration_errors, make_calibration, reliabilities
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
    num_classes = len(task.classes)
    metrics: dict[str, Metric] = {"calibration": make_calibration(num_classes, task.multilabel)}
    if temperature != 1:
        metrics["calibrated"] = make_calibration(num_classes, task.multilabel, temperature)
    # the others are of one class for each pixel
    if task.kind == "segmentation" and not task.multilabel:
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
            errors, tables = calibration_errors(*results[metric]), reliabilities(*results[metric])
            values |= {f"{name}{suffix}": value for name, value in errors._asdict().items()}
            if _is_by_class(results[metric]):
                by_class = zip(classes, tables, strict=True)
                values |= {f"ece{suffix}/{name}": reliability.ece for name, reliability in by_class}
    return values


def details(results: MetricResults, classes: list[str]) -> dict[str, Any]:
    """Return the counts behind the numbers, as plain data: pixels and objects, and reliability tables.

    Of classes that may overlap, there is a reliability table of each class.
    """
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
            tables = [reliability.table for reliability in reliabilities(*results[metric])]
            counts[metric] = dict(zip(classes, tables, strict=True)) if _is_by_class(results[metric]) else tables[0]
    return counts


def _is_by_class(sums: tuple[Tensor, Tensor]) -> bool:
    """Return whether a calibration is that of each class, since they may overlap."""
    return sums[0].ndim == 3


def _nested(counts: Tensor, rows: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return counts `(R, C)` by the name of the row and of the column."""
    return {name: dict(zip(columns, values, strict=True)) for name, values in zip(rows, counts.tolist(), strict=True)}
