"""From samples to batches: transforms applied, equal sizes stacked, workers kept modest."""

import gc
import os
import random
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from lightseg.data.dataset import ImageDataset
from lightseg.data.io.disk_cache import warn
from lightseg.data.sample_index import PADDING, SampleIndex, mix
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import Array
from lightseg.errors import DataError, require
from lightseg.hardware.cpu import usable_cores
from lightseg.labels import IGNORE

Batch = dict[str, torch.Tensor]
"""`{"image": (N, C, H, W) uint8 or float32 in 0..1, "target": (N, H, W) or (N,) int64, "index": (N,) int64}`.

In training also `"counts": (256,)`, the pixels (or samples) of each class, void last.
"""

_GLOBAL, _TRIALS, _ALIGNED = 6, 8, 64

_FILES, _FILES_PER_WORKER = 32, 20
"""Descriptors that a run needs, and those of a loading process: pipes of three loaders, and batches on their way."""

# before it has any: a worker that is forked from a process with OpenCV's threads can wait for them without end
cv2.setNumThreads(0)


class TransformedDataset(Dataset[dict[str, Any]]):
    """Dataset with its transform applied, addressed by `SampleIndex` so that the seed travels with the index.

    In training, the global generators of Python, NumPy and torch follow the seed too: a user's transform may draw from
    them.
    """

    def __init__(self, dataset: ImageDataset, transform: Augmentation | EvalTransform) -> None:
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: SampleIndex | int) -> dict[str, Any]:
        if not isinstance(position, SampleIndex):
            # a sampler that is not ours, such as the one of Lightning's overfit_batches
            position = SampleIndex(int(position), 0)
        if position.sample == PADDING:
            return {"index": PADDING}
        with _global_generators(position.seed) if isinstance(self.transform, Augmentation) else nullcontext():
            image, target = self.transform(*self.dataset[position.sample], position.seed)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "target": _compact(target),
            "index": position.sample,
        }


def _compact(target: Array | int) -> torch.Tensor:
    """Return a mask in bytes, which are faster to stack, to count and to pass to another process; see `to_int64`."""
    if isinstance(target, np.ndarray) and target.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(target))
    return torch.as_tensor(np.asarray(target, np.int64))


@contextmanager
def _global_generators(seed: int) -> Iterator[None]:
    """Let the generators that everybody shares follow a seed, and then go on as if nothing had been."""
    # a worker has no other use for them
    states = None if get_worker_info() else (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    # not the seed itself: albumentations' own `random.Random` would give the same numbers
    mixed_seed = mix(seed, _GLOBAL)
    random.seed(mixed_seed)
    np.random.seed(mixed_seed & 0xFFFFFFFF)  # noqa: NPY002
    # `torch.manual_seed` visits every backend there is, which costs 0.2 ms
    torch.default_generator.manual_seed(mixed_seed)
    try:
        yield
    finally:
        if states:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])


def check_repeatable(prepared: TransformedDataset) -> None:
    """See that a few samples, spread over all, come out the same when they are drawn again with the same seeds.

    Raises:
        ConfigError: If they do not.
    """
    for trial in range(_TRIALS):
        position = SampleIndex(trial * len(prepared) // _TRIALS, mix(trial))
        first, again = prepared[position], prepared[position]
        require(
            all(torch.equal(first[part], again[part]) for part in ("image", "target")),
            f"data.train_transforms: {prepared.dataset.name(position.sample)} comes out differently when it is drawn "
            "again with the same seed: some transform, or the dataset, keeps a random generator of its own; draw from "
            "self.py_random or self.random_generator instead, or from random, np.random or torch",
        )


def stack(samples: list[dict[str, Any]]) -> Batch:
    """Return one batch of equally sized samples; of a loading process, it is one for `to_int64`."""
    return _passed_on(_stack(samples))


def _stack(samples: list[dict[str, Any]]) -> Batch:
    shapes = {tuple(sample["image"].shape[1:]) for sample in samples}
    if len(shapes) > 1:
        sizes = " and ".join(f"{height}×{width}" for height, width in sorted(shapes)[:2])
        raise DataError(
            f"training images of different sizes ({sizes}) cannot form a batch; "
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


def _passed_on(batch: Batch) -> Batch:
    """Return the batch for its user, or for the process that will widen it."""
    return _in_one_block(batch) if get_worker_info() else to_int64(batch)


def _in_one_block(batch: Batch) -> Batch:
    """Return the batch in one block of shared memory: each block costs a file and a message between processes."""
    ends = np.cumsum([-(-part.nbytes // _ALIGNED) * _ALIGNED for part in batch.values()]).tolist()
    # as torch's own collate function has it
    block = torch.empty(0, dtype=torch.uint8).set_(torch.UntypedStorage._new_shared(ends[-1]))
    placed = {}
    for (name, part), start in zip(batch.items(), [0, *ends[:-1]], strict=True):
        placed[name] = block[start : start + part.nbytes].view(part.dtype).view(part.shape).copy_(part)
    return placed


def to_int64(batch: Batch) -> Batch:
    """Return the batch with its targets as int64, which come from a loading process as bytes."""
    target = batch["target"]
    if target.dtype == torch.uint8:
        # what has been pinned for a device stays so
        wide = torch.empty(target.shape, dtype=torch.int64, pin_memory=target.is_pinned())
        # by this thread alone: torch would share it out to cores that the loading processes are at, and wait for them
        np.copyto(wide.numpy(), target.numpy())
        target = wide
    parts = {**batch, "target": target}
    return {name: part if name == "image" else _own(part) for name, part in parts.items()}


def _own(part: torch.Tensor) -> torch.Tensor:
    """Return a tensor that does not keep the block which it came in."""
    return part.clone() if part.untyped_storage().nbytes() > part.nbytes else part


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on a device."""
    return {name: value.to(device) for name, value in batch.items()}


def stack_training(samples: list[dict[str, Any]]) -> Batch:
    """As `stack`, with the `counts` of the batch's own targets, int64."""
    batch = _stack(samples)
    return _passed_on({**batch, "counts": batch["target"].flatten().bincount(minlength=IGNORE + 1)})


def stack_by_size(samples: list[dict[str, Any]]) -> list[Batch]:
    """Batches of equal image and target size, each as `stack` makes it, in order of first appearance; no padding."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for sample in samples:
        if sample["index"] != PADDING:
            groups.setdefault((sample["image"].shape, sample["target"].shape), []).append(sample)
    return [stack(group) for group in groups.values()]


def default_workers(processes: int) -> int:
    """Return the cores that are left for loading when each training process has one, 8 at most."""
    return min(8, max(0, usable_cores() // processes - 1))


@cache
def affordable_workers(workers: int) -> int:
    """Return so many loading processes, or as many as the limit of open files allows, which is raised if it can be.

    Without a free descriptor a loading process drops its batch, which would be waited for without end.

    Args:
        workers: Their number.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES + _FILES_PER_WORKER * workers
    if not workers or soft == resource.RLIM_INFINITY or needed <= soft:
        return workers
    if hard == resource.RLIM_INFINITY or needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return workers
    fewer = max(0, hard - _FILES) // _FILES_PER_WORKER
    warn(f"data.num_workers: {fewer} instead of {workers}, for {hard} files may be open; raise it: ulimit -n {needed}")
    return fewer


def process_options(workers: int) -> dict[str, Any]:
    """Return the options of a `DataLoader` with so many loading processes.

    Args:
        workers: Their number; with 0, this process loads.
    """
    workers = affordable_workers(workers)
    # since Python 3.14 the default is a fork server: every worker imports torch anew and gets a pickled copy of the
    # dataset, so it starts seconds later and shares no memory; beside Linux, a fork is not safe
    context = "fork" if workers and sys.platform == "linux" else None
    return {"num_workers": workers, "worker_init_fn": start_worker, "multiprocessing_context": context}


def start_worker(_worker: int) -> None:
    """Keep torch to one thread per worker, as OpenCV is: the workers are the parallelism."""
    # signals are the main process's to answer; a worker that dies of one would fail the step that is being finished
    os.setpgid(0, 0)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # a search for garbage would write to all objects that were there before, and so copy the memory that they are in
    gc.freeze()
