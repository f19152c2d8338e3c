"""Fabricated folders of finished runs."""

import json
from pathlib import Path

import numpy as np
import yaml

from lightseg.metrics.per_image import PerImageResults

CLASSES = ("sky", "road", "car")
PROTOCOL = "whole images"


def config(seed=0, name="roads", fold=None, folds=None, **changes):
    """Return a resolved config; keys of changes have `__` for each dot: `model__net__width=8`."""
    resolved = {
        "seed_everything": seed,
        "trainer": {"max_epochs": 2, "devices": "auto", "precision": "32"},
        "model": {
            "class_path": "lightseg.tasks.SegmentationTask",
            "init_args": {
                "net": {"class_path": "lightseg.nets.UNet", "init_args": {"width": 4, "depth": 2}},
                "loss": {"ce": 1.0},
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.0}},
                "class_weights": None,
            },
        },
        "data": {
            "class_path": "lightseg.data.MaskFolder",
            "init_args": {"root": f"/data/{seed}", "batch_size": 4, "num_workers": seed, "folds": folds, "fold": fold},
        },
        "runs_dir": f"runs{seed}",
        "name": name,
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = resolved
        for part in path:
            place = place[part]["init_args"] if part in ("model", "data", "net", "optimizer") else place[part]
        place[last] = value
    return resolved


def counts(random, images=40, classes=3, skill=0.8):
    """Return counts, int64 `(N, 3, C)`, of which each pixel is correct with probability `skill`."""
    true = random.integers(50, 500, (images, classes))
    return predict(random, true, skill)


def predict(random, true, skill):
    """Return counts for target pixels `(N, C)`; wrong pixels are predicted as the next class."""
    right = random.binomial(true, skill)
    return np.stack([right, true, right + np.roll(true - right, 1, axis=1)], axis=1)


def wide(width, seed=0, **facts):
    """Return a config of a net of some width."""
    return config(seed=seed, model__net__width=width, **facts)


def skilled(*skills, images=60, seed=0):
    """Return counts of models on the same images."""
    random = np.random.default_rng(seed)
    true = random.integers(50, 500, (images, 3))
    return [predict(random, true, skill) for skill in skills]


def write_run(
    folder: Path, resolved=None, logged=None, split="test", images=None, data="5ha", protocol=PROTOCOL, **facts
):
    """Write a finished run.

    Args:
        folder: Run folder.
        resolved: Config.
        logged: Counts of `split`, int64 `(N, 3, C)`.
        split: Scored split.
        images: Names of the N images.
        data: Fingerprint of the split.
        protocol: Protocol of the evaluation.
        facts: Further attributes of the evaluation: `kind`, `classes`.
    """
    logged = counts(np.random.default_rng(0)) if logged is None else logged
    folder.mkdir(parents=True)
    image, label = np.nonzero(logged[:, 1:].any(axis=1))
    rows = np.column_stack([image, label, *(logged[image, part, label] for part in range(3))])
    names = [f"image-{index:04}" for index in range(len(logged))] if images is None else images
    facts = {"kind": "segmentation", "classes": CLASSES, **facts}
    attributes = {"images": names, "indices": np.arange(len(names)), "rows": rows, **facts}
    PerImageResults(split=split, data=data, protocol=protocol, **attributes).write(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(resolved or config(), sort_keys=False))
    log = [{"step": step, "epoch": 0, "train/images_per_s": speed} for step, speed in enumerate((20, 30, 90))]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    for name, content in {
        "metrics": {f"{split}/score": 0.5, "train/seconds": 60.0, "train/steps": 1},
        "model": {"parameters": 1_500_000, "gflops": 2.5, "input": [3, 32, 32]},
        "env": {"packages": {}},
        "data": {split: {"samples": len(names), "sha256": data}},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder
