"""Table of an evaluation."""

import io
from types import SimpleNamespace

import numpy as np
from rich.console import Console

from lightseg.evaluation.table import show
from lightseg.metrics.scores import confusion_to_counts

FACTS = {
    "split": "val",
    "samples": 1200,
    "dataset": "Shapes",
    "data": "0123456789abcdef",
    "protocol": "whole images",
    "temperature": 1.25,
    "checkpoint": "best.ckpt",
    "precision": "32-true",
    "device": "cpu",
    "data_options": {},
}
CLASSES = ["sky", "[b]car", "ghost"]
NUMBERS = {
    "miou": 0.5,
    **dict(zip((f"iou/{name}" for name in CLASSES), (0.75, 0.25, float("nan")), strict=True)),
    **dict(zip((f"recall/{name}" for name in CLASSES), (0.8, 0.3, float("nan")), strict=True)),
}


def _lines(numbers=NUMBERS, counts=((3, 1, 0), (1, 2, 0), (0, 0, 0)), **facts):
    console = Console(file=io.StringIO(), width=200, highlight=False)
    evaluation = SimpleNamespace(classes=CLASSES, dense=confusion_to_counts(np.array(counts))[None])
    scored = SimpleNamespace(evaluation=evaluation)
    show(SimpleNamespace(numbers=numbers, facts={**FACTS, **facts}, scored=scored), console)
    return [line.strip() for line in console.file.getvalue().splitlines()]


def test_show__scores_classes_and_conditions():
    lines = _lines()
    assert any(line.split() == ["mIoU", "%", "50.00"] for line in lines)
    assert any(line.split() == ["sky", "75.0", "80.0"] for line in lines)
    assert any(line.split() == ["[b]car", "25.0", "30.0"] for line in lines)
    assert "protocol: whole images" in lines
    assert any(line.startswith("data: 1,200 samples of val, Shapes, sha256 0123") for line in lines)
    assert "checkpoint: best.ckpt, 32-true on cpu" in lines


def test_show__a_class_without_a_pixel_is_absent():
    lines = _lines()
    assert any(line.split() == ["ghost", "absent"] for line in lines)
    predicted = _lines({**NUMBERS, "iou/ghost": 0.0, "recall/ghost": float("nan")})
    assert any(line.startswith("ghost") and "absent, but predicted" in line for line in predicted)
    assert any(line.startswith("absent: the truth has none of this class") for line in lines)
    complete = _lines({**NUMBERS, "iou/ghost": 0.1, "recall/ghost": 0.1}, counts=((3, 1, 0), (1, 2, 0), (0, 9, 1)))
    assert not any("absent" in line for line in complete)


def test_show__calibration_sizes_and_options():
    numbers = {**NUMBERS, "ece": 0.1, "nll": 0.5, "ece_calibrated": 0.05, "nll_calibrated": 0.4}
    numbers |= {f"recall_small{end}": 0.5 for end in ("", *(f"/{name}" for name in CLASSES))}
    lines = _lines(numbers, data_options={"image_size": 64})
    assert any("calibration error (ECE) %" in line and line.endswith("10.00") for line in lines)
    assert any("at temperature 1.25" in line and line.endswith("5.00") for line in lines)
    assert any(line.startswith("small, medium, large: recall in %") for line in lines)
    assert any(line.startswith("data: ") and line.endswith("image_size: 64") for line in lines)
