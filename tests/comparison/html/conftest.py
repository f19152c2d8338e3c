"""Comparisons of run folders that contain all that a page reads except data and checkpoint."""

import json

import numpy as np
import pytest

from lightseg.comparison.results import Comparison, Estimate, Group, GroupPair, Trial
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.read import Run

IMAGES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def make_run(tmp_path):
    """Write a run folder with a short log, a confusion matrix, and the files of the details."""

    def make(name: str, classes: int = 3, seed: int = 0, images: tuple = IMAGES) -> Run:
        folder = tmp_path / "runs" / f"{name}-{seed}"
        folder.mkdir(parents=True)
        rows = [
            {"step": 10 * epoch, "val/score": 0.2 * epoch, "val/loss": 1 / epoch, "train/loss": 2 / epoch}
            for epoch in (1, 2, 3, 4)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        confusion = np.full((classes, classes), 5) + 85 * np.eye(classes, dtype=int)
        np.savetxt(folder / "confusion_test.csv", confusion, "%d", ",", header="classes", comments="")
        (folder / "git.json").write_text(json.dumps({"commit": "0123456789abcdef", "dirty": True}))
        (folder / "command.txt").write_text("python -m lightseg.fit --name <b>\n")
        rows = np.array([[index, 0, 1, 1, 1] for index in range(len(images))])
        names, indices = [f"class {c}" for c in range(classes)], np.arange(len(images))
        PerImageResults("segmentation", "test", "0", "whole", names, images, indices, rows).write(folder)
        data = {"class_path": "lightseg.data.Shapes", "init_args": {"image_size": 32, "test_size": len(images)}}
        config = {"seed_everything": seed, "data": data}
        (folder / "config.yaml").write_text(json.dumps(config))
        cost = {"parameters": 1_234_567, "gflops": 1.5, "input": [3, 8, 8]}
        return Run(folder, name, config, {}, cost, {}, {"test": {"samples": 4, "sha256": "0"}})

    return make


@pytest.fixture
def make_comparison(make_run):
    """Make groups of two runs; the first is right on every pixel, the accuracy of the others decreases."""

    def make(
        labels: tuple = ("big", "small"), classes: tuple = ("sky", "road", "car"), **changes: object
    ) -> Comparison:
        groups = []
        for index, label in enumerate(labels):
            counts = np.full((4, 3, len(classes)), 100)
            counts[:, 0] -= 10 * index
            score = 1 - 0.1 * index
            trials = tuple(
                Trial((make_run(f"g{index}", len(classes), seed),), counts, score, np.full(len(classes), score))
                for seed in (0, 1)
            )
            estimate = Estimate(score, score - 0.02, score + 0.02, 1.0)
            differs = {"net.width": f"{8 * (index + 1)}"}
            groups.append(Group(label, differs, trials, estimate, 0.01, (estimate,) * len(classes), 30.0, 90.0))
        pairs = tuple(
            GroupPair(
                0,
                second,
                _by(0.1 * second, 0.001),
                (_by(0.1 * second, 0.001), *[_by(0.0, 1.0)] * (len(classes) - 1)),
                True,
            )
            for second in range(1, len(labels))
        )
        fields = {"kind": "segmentation", "metric": "mIoU", "class_metric": "IoU", "baseline": None, "notes": ()}
        fields |= {"split": "test", "images": IMAGES, "resamples": 1000} | changes
        return Comparison(classes=classes, groups=tuple(groups), pairs=pairs, **fields)

    return make


def _by(value: float, p: float) -> Estimate:
    return Estimate(value, value - 0.03, value + 0.03, p)
