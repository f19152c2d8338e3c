"""The loader alone, without any net: CamVid crops against the DataLoader with albumentations that people write.

usage: python experiments/benchmarks/loading.py [--pairs N] [--camvid ROOT]

Both sides have the same files, transforms, batch size and loading processes, one for each core and nine at most; ours
has decoded the files before, theirs decodes them in every epoch, and normalises in the loading processes, as the guide
of albumentations has it. A measurement is images per second over an epoch, its first batch's wait included. `--camvid`
is CamVid in SegNet's layout; without it, painted frames of the same size take its place, which take as long to decode.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
import yaml
from albumentations.pytorch import ToTensorV2
from frames import SPLITS, painted
from table import Row, in_turn, main
from torch.utils.data import DataLoader, Dataset

from lightseg.data import CamVid
from lightseg.data.batches import default_workers

ROOT = Path(__file__).resolve().parents[2]
RECIPES = {"small crops": "experiments/camvid/unet_small.yaml", "full-size crops": "configs/data/camvid.yaml"}
FORMATS = {"png": 3.0, "jpg": 2.0}
"""Formats of the images, and how many times faster we are to be."""

BATCH, QUALITY = 8, 90


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """PNG and JPEG files, with the crops of two recipes."""
    workers = default_workers(1) + 1
    for suffix, target in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), suffix, options.camvid)
            for name, recipe in RECIPES.items():
                loaders = ours(folder, recipe, workers), theirs(folder, suffix, recipe, workers)
                first, second = in_turn(*map(_epochs, loaders), options.pairs)
                frames = "CamVid" if options.camvid else "painted frames"
                what = f"loading alone, {frames}, {name} of {suffix.upper()} files, {workers} loading processes"
                yield Row(what, "images/s", first, "DataLoader with albumentations", second, target)


def ours(folder: str, recipe: str, workers: int) -> DataLoader[Any]:
    """The training loader of `lightseg.fit`."""
    data = CamVid(folder, batch_size=BATCH, num_workers=workers, train_transforms=transforms(recipe))
    data.decode()
    return data.train_dataloader()


class Files(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Images and masks of one split, as people read them."""

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
    """As in the guides of torch and albumentations."""
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
    """What a recipe does to a training sample."""
    listed = yaml.safe_load((ROOT / recipe).read_text())["data"]["init_args"]["train_transforms"]
    return [getattr(A, one["class_path"].removeprefix("albumentations."))(**one["init_args"]) for one in listed]


def _epochs(loader: DataLoader[Any]) -> Callable[[], float]:
    """Images per second of the next epoch."""

    def measure() -> float:
        images, since = 0, time.perf_counter()
        for batch in loader:
            images += len(batch["image"] if isinstance(batch, dict) else batch[0])
        return images / (time.perf_counter() - since)

    return measure


def write_files(folder: Path, suffix: str, camvid: str | None) -> None:
    """The training split of CamVid with its images in a format, and one frame to validate."""
    frames = painted(SPLITS["train"]) if camvid is None else _read(Path(camvid))
    for number, (image, mask) in enumerate(frames):
        for split in ("train", "val") if not number else ("train",):
            (folder / split).mkdir(exist_ok=True), (folder / f"{split}annot").mkdir(exist_ok=True)
            quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == "jpg" else []
            cv2.imwrite(str(folder / split / f"{number:04}.{suffix}"), image, quality)
            cv2.imwrite(str(folder / f"{split}annot" / f"{number:04}.png"), mask)


def _read(root: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The frames of CamVid."""
    for path in sorted((root / "train").iterdir()):
        mask = next((root / "trainannot").glob(f"{path.stem}.*"))
        yield cv2.imread(str(path)), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)


if __name__ == "__main__":
    main(__doc__, rows)
