"""Painter of the two data sets of the fine-tuning table, as folders of images and masks.

usage: python experiments/fine_tuning/paint.py FOLDER

FOLDER/source: 5 classes, RGB, 48 × 48, 300 images to train on. FOLDER/target: 7 classes, 4 channels (the last is near
infrared: the inverted brightness with noise), 64 × 64, 40 images to train on.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from lightseg.data.datasets.shapes_painter import OUTLINES, paint, void_along_outlines
from lightseg.labels import IGNORE

BAR = [np.array([[1, 0.25], [-1, 0.25], [-1, -0.25], [1, -0.25]])]
SOURCE = ["circle", "square", "triangle", "star"]
TARGET = [*SOURCE, "ring", "bar"]


def write(folder: Path, sizes: dict[str, int], side: int, shapes: list[str], has_infrared: bool, seed: int) -> None:
    """Paint the splits of a data set; class k + 1 is the k-th shape, and class 0 the ground."""
    rng = np.random.default_rng(seed)
    for split, size in sizes.items():
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
        for index in range(size):
            labels = rng.integers(0, len(shapes), rng.integers(3, 6, endpoint=True))
            image, owner = paint(rng, side, [shapes[label] for label in labels], (0.1, 0.24), 12)
            mask = np.array([0, *(labels + 1)], np.uint8)[owner]
            mask[void_along_outlines(owner, 1)] = IGNORE
            if has_infrared:
                infrared = 255 - image.mean(axis=2) + rng.integers(-20, 20, (side, side))
                image = np.dstack([image, np.clip(infrared, 0, 255).astype(np.uint8)])
            np.save(folder / split / "images" / f"{index:04}.npy", image)
            cv2.imwrite(str(folder / split / "masks" / f"{index:04}.png"), mask)


if __name__ == "__main__":
    OUTLINES["bar"] = BAR
    root = Path(sys.argv[1])
    write(root / "source", {"train": 300, "val": 80, "test": 160}, 48, SOURCE, has_infrared=False, seed=1)
    write(root / "target", {"train": 40, "val": 80, "test": 160}, 64, TARGET, has_infrared=True, seed=2)
