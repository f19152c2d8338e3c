"""Report of a finished run."""

import json

import pytest
import torch
from lightning.pytorch.loggers import Logger

from lightseg.data import Shapes
from lightseg.nets import UNet
from lightseg.tasks import SegmentationTask
from lightseg.training import report as report_module
from lightseg.training.report import report


class Memory(Logger):
    """Keeps what it is given."""

    name = version = "memory"

    def __init__(self):
        super().__init__()
        self.rows, self.status = [], None

    def log_hyperparams(self, *args):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))

    def finalize(self, status):
        self.status = status


@pytest.fixture
def make_report(tmp_path, capsys, monkeypatch):
    """Report on scores of a task; pictures are a line each."""
    monkeypatch.setattr(report_module, "_draw", lambda folder, *_: [folder / "images/curve.png"])

    def make(results):
        data = Shapes(image_size=32, train_size=2, val_size=2, test_size=2, num_workers=0)
        task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, mean=[0.5] * 3, std=[0.5] * 3).eval()
        counts = torch.eye(6, dtype=torch.int64) * 10
        counts[5, 5] = 0
        for split in dict.fromkeys(name.partition("/")[0] for name in results if name != "train/steps"):
            task.counts[split] = counts
            task.image_counts[split] = _image_counts(counts)
        logger = Memory()
        report(tmp_path, task, "best", data, results, [logger])
        return logger, capsys.readouterr().out

    return make


def _image_counts(counts):
    """Return image, class, true-positive, target and prediction pixels, all of them in the first image."""
    rows = [[0, label, *[count] * 3] for label, count in enumerate(counts.diagonal().tolist()) if count]
    return torch.tensor(rows)


def _cells(out):
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines()]


RESULTS = {"val/score": 0.5, "val/loss": 1.0, "val/iou/ring": float("nan"), "val/iou/star": 0.25, "train/steps": 7}
TESTED = {"test/score": 0.75, "test/loss": 2.0, "test/iou/ring": float("nan"), "test/iou/star": 0.5}


def test_report__numbers_table_and_loggers(make_report, tmp_path):
    logger, out = make_report({**RESULTS, **TESTED})
    assert logger.rows == [(7, TESTED)]
    assert logger.status == "success"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["val/score"], metrics["test/score"], metrics["val/iou/ring"]) == (0.5, 0.75, None)
    rows = _cells(out)
    assert ["iou/star", "0.2500", "0.5000"] in rows
    assert ["iou/ring", "absent", "absent"] in rows
    assert "UNet, best checkpoint" in out
    assert f"picture: {tmp_path}/images/curve.png" in out
    assert (tmp_path / "confusion_test.csv").exists()


def test_report__without_a_test_nothing_is_logged_again(make_report):
    logger, out = make_report(RESULTS)
    assert logger.rows == []
    assert ["iou/star", "0.2500"] in _cells(out)
