"""Painted frames in the place of CamVid, for machines that do not have it: of its size, and as long to decode."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

SPLITS = {"train": 367, "val": 101, "test": 233}


def painted(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images `(360, 480, 3)`, from broad strokes to fine grain as in photographs, and their masks."""
    rng, size = np.random.default_rng(0), (480, 360)
    for _ in range(count):
        image = np.full((360, 480, 3), 110.0, np.float32)
        for scale, strength in ((120, 60), (40, 40), (12, 25), (4, 10), (2, 4), (1, 2)):
            coarse = rng.normal(0, strength, (360 // scale + 1, 480 // scale + 1, 3)).astype(np.float32)
            image += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        regions = rng.integers(0, 12, (9, 12), np.uint8)
        edges = cv2.resize(rng.normal(0, 5, (30, 40, 2)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        rows, columns = np.indices((360, 480), np.float32)
        source = (columns / 40 + edges[..., 0] / 40).clip(0, 11), (rows / 40 + edges[..., 1] / 40).clip(0, 8)
        yield image.clip(0, 255).astype(np.uint8), cv2.remap(regions, *source, cv2.INTER_NEAREST)


def camvid_like(root: Path, splits: Mapping[str, int] = SPLITS) -> str:
    """Write as many frames as CamVid has, in its layout, unless they are there; return the folder."""
    if root.exists():
        return str(root)
    frames = painted(sum(splits.values()))
    for split, count in splits.items():
        folders = root / split, root / f"{split}annot"
        for folder in folders:
            folder.mkdir(parents=True)
        for index in range(count):
            for folder, pixels in zip(folders, next(frames), strict=True):
                cv2.imwrite(str(folder / f"{index:04}.png"), pixels)
    return str(root)
