"""Extra metrics of an evaluation."""

import pytest
import torch

from lightseg.evaluation.extra_metrics import details, make, numbers
from lightseg.nets import SimpleCNN, UNet
from lightseg.tasks import ClassificationTask, MultilabelClassificationTask, SegmentationTask

CLASSES = ["a", "b"]


def _results(task, logits, target, temperature=1.0):
    metrics = make(task, 0.02, temperature)
    for metric in metrics.values():
        metric.update(logits, target, torch.arange(len(target)))
    return {name: metric.compute() for name, metric in metrics.items()}


def test_make__what_a_task_has():
    segmentation = SegmentationTask(UNet(2, width=4, depth=1), CLASSES)
    classification = ClassificationTask(SimpleCNN(2, image_size=16), CLASSES)
    assert set(make(segmentation, 0.02, 1.0)) == {"calibration", "boundary", "objects"}
    assert set(make(classification, 0.02, 2.0)) == {"calibration", "calibrated"}


def test_numbers__of_class_ids_by_hand():
    task = ClassificationTask(SimpleCNN(2, image_size=16), CLASSES)
    # probabilities of 3/4 and 1/4, of which one of two is right
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log()
    results = _results(task, logits, torch.tensor([0, 1]), temperature=1e6)
    values = numbers(results, CLASSES)
    assert set(values) == {f"{name}{suffix}" for name in ("ece", "nll", "brier") for suffix in ("", "_calibrated")}
    assert values["ece"] == pytest.approx(0.25)
    assert values["nll"] == pytest.approx(-(torch.tensor(0.75).log() + torch.tensor(0.25).log()).item() / 2)
    assert values["brier"] == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 2)
    # at a high temperature, both classes are as likely
    assert values["ece_calibrated"] == pytest.approx(0, abs=1e-5)
    assert set(details(results, CLASSES)) == {"calibration", "calibrated"}


def test_details__counts_of_masks_by_class_and_size():
    task = SegmentationTask(UNet(2, width=4, depth=1), CLASSES)
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[0, 2:5, 2:5] = 1
    logits = torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2).float()
    results = _results(task, logits, target)
    counts = details(results, CLASSES)
    assert counts["objects"]["b"]["small"] == {"objects": 1, "found": 1, "pixels": 9, "right": 9}
    assert set(counts["boundary"]) == set(CLASSES)
    assert all(row["both"] == row["truth"] == row["prediction"] > 0 for row in counts["boundary"].values())
    values = numbers(results, CLASSES)
    assert values["boundary_iou/b"] == values["recall_small/b"] == 1


def test_numbers__of_overlapping_classes_have_an_error_of_each():
    task = MultilabelClassificationTask(SimpleCNN(2, image_size=16), CLASSES)
    logits, target = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log(), torch.tensor([[1, 0], [0, 0]])
    results = _results(task, logits, target, temperature=2.0)
    values = numbers(results, CLASSES)
    # probabilities of 3/4 and 1/2, in the middles of their bins
    middles = [768.5 / 1024, 512.5 / 1024]
    assert [values["ece/a"], values["ece/b"]] == pytest.approx([middles[0] - 0.5, middles[1]])
    assert values["ece"] == pytest.approx(sum(middles) / 2 - 0.25)
    assert values["nll"] == pytest.approx(-torch.tensor([0.75, 0.25, 0.5, 0.5]).log().mean().item(), abs=1e-6)
    assert values["ece_calibrated/b"] == values["ece/b"]
    tables = details(results, CLASSES)["calibration"]
    assert [(name, len(table), table[0]["pixels"]) for name, table in tables.items()] == [("a", 1, 2), ("b", 1, 2)]
