"""The loader alone, without any net: CamVid crops against the DataLoader with albumentations that people write.

usage: python experiments/benchmarks/loading.py [--pairs N] [--camvid ROOT]

Both sides have the same files, transforms, batch size and loading processes, one for each core and nine at most; ours
has decoded the files before, theirs decodes them in every epoch, and normalises in the loading processes, as the guide
of albumentations has it. A measurement is images per second over an epoch, its first batch's wait included. `--camvid`
is CamVid in SegNet's layout; without it, painted frames of the same size take its place, which take as long to decode.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
import yaml
from albumentations.pytorch import ToTensorV2
from frames import SPLITS, painted
from runner import BUDGET, Benchmark, main
from table import Row, in_turn
from torch.utils.data import DataLoader, Dataset
from turns import ROOT

from lightseg.data import CamVid
from lightseg.data.loading.collate import default_workers

RECIPES = {"small crops": "experiments/camvid/unet_small.yaml", "full-size crops": "configs/data/camvid.yaml"}
FORMATS = {"png": 3.0, "jpg": 2.0}
"""Formats of the images, and how many times faster lightseg is to be."""

BATCH, QUALITY = 8, 90


def compare(options: argparse.Namespace, suffix: str, target: float) -> Iterator[Row]:
    """Measure the crops of two recipes from files of one format."""
    workers, folder = default_workers(1) + 1, options.scratch / suffix
    write_files(folder, suffix, options.camvid)
    for name, recipe in RECIPES.items():
        loaders = ours(str(folder), recipe, workers), theirs(str(folder), suffix, recipe, workers)
        first, second = in_turn(*map(_epochs, loaders), options.pairs, BUDGET)
        frames = "CamVid" if options.camvid else "painted frames"
        name = f"loading alone, {frames}, {name} of {suffix.upper()} files, {workers} loading processes"
        yield Row(name, "images/s", first, "DataLoader with albumentations", second, target)


def suite(options: argparse.Namespace) -> list[Benchmark]:
    """Return a benchmark for each format."""
    benchmarks = []
    for suffix, target in FORMATS.items():
        measure = partial(compare, options, suffix, target)
        benchmarks.append(Benchmark(f"loading alone, {suffix.upper()} files", measure, rows=len(RECIPES)))
    return benchmarks


def ours(folder: str, recipe: str, workers: int) -> DataLoader[Any]:
    """Return the training loader of `lightseg.fit`."""
    data = CamVid(folder, batch_size=BATCH, num_workers=workers, train_transforms=transforms(recipe))
    data.decode()
    return data.train_dataloader()


class Files(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Images and masks of a split, as people read them."""

    def __init__(self, folder: str, suffix: str, recipe: str) -> None:
        self.images = sorted(Path(folder, "train").glob(f"*.{suffix}"))
        self.transform = A.Compose([*transforms(recipe), A.Normalize(), ToTensorV2()])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = self.images[index]
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(path.parents[1] / "trainannot" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        made = self.transform(image=image, mask=mask)
        return made["image"], made["mask"].long()


def theirs(folder: str, suffix: str, recipe: str, workers: int) -> DataLoader[Any]:
    """Return a loader as in the guides of torch and albumentations."""
    return DataLoader(
        Files(folder, suffix, recipe),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
    )


def transforms(recipe: str) -> list[A.BasicTransform]:
    """Return the training transforms of a recipe."""
    listed = yaml.safe_load((ROOT / recipe).read_text())["data"]["init_args"]["train_transforms"]
    return [getattr(A, each["class_path"].removeprefix("albumentations."))(**each["init_args"]) for each in listed]


def _epochs(loader: DataLoader[Any]) -> Callable[[], float]:
    """Return what measures the images per second of an epoch."""

    def measure() -> float:
        images, start = 0, time.perf_counter()
        for batch in loader:
            images += len(batch["image"] if isinstance(batch, dict) else batch[0])
        return images / (time.perf_counter() - start)

    return measure


def write_files(folder: Path, suffix: str, camvid: str | None) -> None:
    """Write the training split of CamVid with its images in a format, and one frame to validate."""
    frames = painted(SPLITS["train"]) if camvid is None else _read(Path(camvid))
    for number, (image, mask) in enumerate(frames):
        for split in ("train", "val") if not number else ("train",):
            (folder / split).mkdir(parents=True, exist_ok=True), (folder / f"{split}annot").mkdir(exist_ok=True)
            quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == "jpg" else []
            cv2.imwrite(str(folder / split / f"{number:04}.{suffix}"), image, quality)
            cv2.imwrite(str(folder / f"{split}annot" / f"{number:04}.png"), mask)


def _read(root: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the frames of CamVid."""
    for path in sorted((root / "train").iterdir()):
        mask = next((root / "trainannot").glob(f"{path.stem}.*"))
        yield cv2.imread(str(path)), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)


if __name__ == "__main__":
    main(__doc__, suite)
