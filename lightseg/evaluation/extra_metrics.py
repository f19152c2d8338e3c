"""Extra metrics of an evaluation, beside the confusion matrix."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric

from lightseg.metrics import boundary_iou, object_recall
from lightseg.metrics.boundary_iou import BoundaryIoU
from lightseg.metrics.calibration import Calibration, Reliability
from lightseg.metrics.object_recall import ObjectRecall
from lightseg.tasks import Task

Results = dict[str, Any]
"""What each view computes, by its name."""


def make(task: Task, width: float, temperature: float) -> dict[str, Metric]:
    """Return the views that apply to a task.

    Args:
        task: The task.
        width: Width of the boundary band as a share of the image's diagonal.
        temperature: What calibration is shown for, beside 1.
    """
    size = len(task.classes)
    views: dict[str, Metric] = {"calibration": Calibration()}
    if temperature != 1:
        views["calibrated"] = Calibration(temperature)
    if task.kind == "segmentation":
        views |= {"boundary": BoundaryIoU(size, width), "objects": ObjectRecall(size)}
    return views


def numbers(results: Results, classes: list[str]) -> dict[str, float]:
    """Every number of the views by name, NaN where undefined."""
    named: dict[str, float] = {}
    for view, scores in (("boundary", boundary_iou.scores), ("objects", object_recall.scores)):
        if view in results:
            named |= scores(results[view], classes)
    for view, suffix in (("calibration", ""), ("calibrated", "_calibrated")):
        if view in results:
            table = Reliability.of(*results[view])
            named |= {f"ece{suffix}": table.ece, f"nll{suffix}": table.nll, f"brier{suffix}": table.brier}
    return named


def details(results: Results, classes: list[str]) -> dict[str, Any]:
    """Return the counts behind the numbers, as plain data: pixels and objects, and reliability tables."""
    content: dict[str, Any] = {}
    if "boundary" in results:
        content["boundary"] = _named(results["boundary"].T, classes, ("both", "truth", "prediction"))
    if "objects" in results:
        parts = ("objects", "found", "pixels", "right")
        content["objects"] = {
            name: _named(counts, object_recall.SIZES, parts)
            for name, counts in zip(classes, results["objects"], strict=True)
        }
    for view in ("calibration", "calibrated"):
        if view in results:
            content[view] = Reliability.of(*results[view]).table
    return content


def _named(counts: Tensor, rows: Any, columns: Any) -> dict[str, dict[str, int]]:
    return {name: dict(zip(columns, values, strict=True)) for name, values in zip(rows, counts.tolist(), strict=True)}
