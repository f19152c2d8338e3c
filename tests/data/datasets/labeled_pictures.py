"""Pictures of two classes in folders and in a table, and the recipe that trains on them."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import yaml

from tests.data.fabricate import save

COUNT = 30
CLASSES = ("cat", "dog")
CROP = {"class_path": "albumentations.RandomResizedCrop", "init_args": {"size": [16, 16]}}
MIDDLE = [
    {"class_path": "albumentations.SmallestMaxSize", "init_args": {"max_size": 20}},
    {"class_path": "albumentations.CenterCrop", "init_args": {"height": 16, "width": 16}},
]


def picture(label, index):
    """Return a noisy picture of its own size, `(H, W, 3)`: red cats and blue dogs."""
    rng = np.random.default_rng(1000 * label + index)
    image = rng.integers(0, 120, (*rng.integers(18, 30, 2), 3)).astype(np.uint8)
    image[..., 2 * label] += 100
    return image


def paint(root, count=COUNT, first=0):
    """Write `cat/00.png`, `dog/00.png`, … of each class; return the root."""
    for label, name in enumerate(CLASSES):
        for index in range(first, first + count):
            save(Path(root) / name / f"{index:02}.png", picture(label, index))
    return Path(root)


def rows_of(root):
    """Return a row with path and label for each picture below the root."""
    return [[path.relative_to(root).as_posix(), path.parent.name] for path in sorted(Path(root).rglob("*.png"))]


def label_rows(root):
    """Return a row with path and the labels `red` and `blue` for each picture below the root, and for more of both."""
    rows = [[path, int(label == "cat"), int(label == "dog")] for path, label in rows_of(root)]
    random = np.random.default_rng(0)
    for index in range(len(rows) // 2):
        image = random.integers(0, 120, (20, 22, 3)).astype(np.uint8)
        image[..., [0, 2]] += 100
        save(Path(root) / "both" / f"{index:02}.png", image)
        rows.append([f"both/{index:02}.png", 1, 1])
    return rows


def write_table(path, rows, header=("path", "label"), delimiter=","):
    """Write a table; return its path."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return Path(path)


def recipe_text(**options):
    """Return a recipe that trains a small net on pictures.

    Options without `table` are those of `ImageFolder`; with `label_columns` the classes may overlap.
    """
    block = "image_table" if "table" in options else "image_folder"
    options = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    options = {"batch_size": 6, "num_workers": 0, "train_transforms": [CROP], "eval_transforms": MIDDLE, **options}
    content = {
        "base": [f"configs/data/{block}.yaml", "configs/net/simple_cnn.yaml", "configs/hardware/cpu.yaml"],
        "data": {"init_args": options},
        "model": {"init_args": {"net": {"init_args": {"image_size": 16}}, "optimizer": {"init_args": {"lr": 0.005}}}},
        "trainer": {"max_epochs": 8, "precision": "32-true", "log_every_n_steps": 1},
    }
    if "label_columns" in options:
        content["model"]["class_path"] = "MultilabelClassificationTask"
    return yaml.safe_dump(content)


def names(module):
    """Return the names of the samples of each split."""
    parts = {split: module.dataset(split) for split in ("train", "val", "test")}
    return {split: [part.name(index) for index in range(len(part))] for split, part in parts.items()}


def stream(module):
    """Return a hash of the samples of two epochs of training and one of validation."""
    digest = hashlib.sha256()
    loader = module.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        batches = [*loader, *(batch for group in module.val_dataloader() for batch in group)]
        for batch in batches:
            for key in ("index", "image", "target"):
                digest.update(batch[key].numpy().tobytes())
    return digest.hexdigest()


def refused(fit, recipe, tmp_path, **options):
    """Return the line with which `fit` refuses data, and leaves no run folder."""
    outcome = fit("--config", recipe(recipe_text(**options), "broken.yaml"))
    assert outcome.code == 2, outcome
    assert not list((tmp_path / "runs").glob("*/*"))
    lines = [line for line in outcome.err.splitlines() if not line.startswith("this is the first problem of the data")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("lightseg: error: ")
    return lines[0]
