"""From samples to batches: transforms applied, equal sizes stacked, workers kept modest."""

import os
import signal
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from lightseg.data.order import PADDING, Position
from lightseg.data.transforms import EvalTransform, TrainTransform
from lightseg.errors import DataError

if TYPE_CHECKING:
    from lightseg.data.base import ImageDataset

Batch = dict[str, torch.Tensor]
"""`{"image": (N, C, H, W) uint8 or float32 in 0..1, "target": (N, H, W) or (N,) int64, "index": (N,) int64}`."""


class Prepared(Dataset[dict[str, Any]]):
    """A dataset with its transform applied, addressed by `Position` so that the seed travels with the index."""

    def __init__(self, dataset: "ImageDataset", transform: TrainTransform | EvalTransform) -> None:
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: Position | int) -> dict[str, Any]:
        if not isinstance(position, Position):
            # a sampler that is not ours, such as the one of Lightning's overfit_batches
            position = Position(int(position), 0)
        if position.sample == PADDING:
            return {"index": PADDING}
        image, target = self.transform(*self.dataset[position.sample], position.seed)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "target": torch.as_tensor(np.asarray(target, np.int64)),
            "index": position.sample,
        }


def stack(samples: list[dict[str, Any]]) -> Batch:
    """One batch of equally sized samples."""
    shapes = {tuple(sample["image"].shape[1:]) for sample in samples}
    if len(shapes) > 1:
        sizes = " and ".join(f"{height}×{width}" for height, width in sorted(shapes)[:2])
        raise DataError(
            f"training images of different sizes ({sizes}) cannot form a batch: "
            "end data.train_transforms with a RandomCrop (pad_if_needed: true) or a Resize"
        )
    images = [sample["image"] for sample in samples]
    if len({image.dtype for image in images}) > 1:
        # 8-bit beside deeper files: stacking as they are would take 0..255 for 0..1
        images = [image.float() / 255 if image.dtype == torch.uint8 else image for image in images]
    return {
        "image": torch.stack(images),
        "target": torch.stack([sample["target"] for sample in samples]),
        "index": torch.tensor([sample["index"] for sample in samples]),
    }


def stack_by_size(samples: list[dict[str, Any]]) -> list[Batch]:
    """Batches of equal image and target size, in order of first appearance; padding is dropped."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for sample in samples:
        if sample["index"] != PADDING:
            groups.setdefault((sample["image"].shape, sample["target"].shape), []).append(sample)
    return [stack(group) for group in groups.values()]


def default_workers(processes: int) -> int:
    """The cores that are left for loading when each training process has one, 8 at most."""
    return min(8, max(0, _cores() // processes - 1))


def start_worker(_worker: int) -> None:
    """Keep OpenCV and torch to one thread per worker: the workers are the parallelism."""
    # Ctrl-C is the main process's to answer; a worker that dies of it would fail the step that is being finished
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
