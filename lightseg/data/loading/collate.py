"""Transformed samples, their collation into batches, and the number and set-up of loading processes."""

import gc
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from lightseg.data.dataset import ImageDataset
from lightseg.data.sample_index import PADDING, SampleIndex, mix
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.transforms.mixing import mix_images
from lightseg.data.transforms.pipeline import EnlargedError, EvalTransform
from lightseg.data.types import Array, Batch
from lightseg.errors import ConfigError, DataError, require
from lightseg.files.disk_cache import warn_on_rank_zero
from lightseg.hardware.cpu import usable_cores
from lightseg.labels import IGNORE

_GLOBAL_SEED = 6
"""Salt of the seed of the global random generators."""

_REPEATED_SAMPLES = 8
"""Samples of which `check_repeatable` compares two augmentations."""

_ALIGNMENT = 64
"""Bytes that the tensors in a shared block are aligned to."""

_FILES, _FILES_PER_WORKER = 32, 20
"""File descriptors of a run, and of each loading process: the pipes of three loaders, and batches in transit."""

# on import, since a worker forked from a process with OpenCV threads can deadlock
cv2.setNumThreads(0)


class TransformedDataset(Dataset[dict[str, Any]]):
    """Dataset with a transform applied; an index is a `SampleIndex`, which carries the seed.

    In training, the global generators of Python, NumPy and torch are seeded too, since custom transforms may use them.

    Args:
        dataset: The dataset.
        transform: The transform of image and target.
    """

    def __init__(self, dataset: ImageDataset, transform: Augmentation | EvalTransform) -> None:
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: SampleIndex | int) -> dict[str, Any]:
        if not isinstance(position, SampleIndex):
            # plain indices come from other samplers, such as that of Lightning's overfit_batches
            position = SampleIndex(int(position), 0)
        if position.sample == PADDING:
            return {"index": PADDING}
        with _seed_global_generators(position.seed) if isinstance(self.transform, Augmentation) else nullcontext():
            stored, label = self.dataset[position.sample]
            try:
                image, target = self.transform(stored, label, position.seed)
            except EnlargedError as error:
                raise EnlargedError(f"{self.dataset.name(position.sample)}: {error}") from None
        if image.shape[2:] != stored.shape[2:]:
            option = "train_transforms" if isinstance(self.transform, Augmentation) else "eval_transforms"
            raise ConfigError(
                f"data.{option}: they turn images of {list(stored.shape)} (height, width, channels) into "
                f"{list(image.shape)}; a transform must keep the number of channels"
            )
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "target": _compact(target),
            "index": position.sample,
        }


def _compact(target: Array | int) -> Tensor:
    """Return a target as a tensor; a mask stays uint8, which is faster to stack, count and transfer (`to_int64`).

    The channels of a multi-label mask come first.
    """
    if isinstance(target, np.ndarray) and target.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(target.transpose(2, 0, 1) if target.ndim == 3 else target))
    return torch.as_tensor(np.asarray(target, np.int64))


@contextmanager
def _seed_global_generators(seed: int) -> Iterator[None]:
    """Seed the global random generators temporarily, then restore them."""
    # in a loading process nothing else uses them, so they need not be restored
    states = None if get_worker_info() else (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    # not the seed itself, from which albumentations' `random.Random` would generate the same numbers
    global_seed = mix(seed, _GLOBAL_SEED)
    random.seed(global_seed)
    np.random.seed(global_seed & 0xFFFFFFFF)  # noqa: NPY002
    # `torch.manual_seed` seeds every backend, which costs 0.2 ms
    torch.default_generator.manual_seed(global_seed)
    try:
        yield
    finally:
        if states:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])


def check_repeatable(samples: TransformedDataset) -> list[dict[str, Any]]:
    """Check that a few samples, spread over the split, are the same when augmented again with the same seed.

    Returns:
        These samples.

    Raises:
        ConfigError: If one differs.
    """
    compared = []
    for trial in range(_REPEATED_SAMPLES):
        position = SampleIndex(trial * len(samples) // _REPEATED_SAMPLES, mix(trial))
        first, second = samples[position], samples[position]
        require(
            all(torch.equal(first[key], second[key]) for key in ("image", "target")),
            f"data.train_transforms: {samples.dataset.name(position.sample)} differs when augmented again with the "
            "same seed: a transform, or the dataset, has its own random generator; use self.py_random or "
            "self.random_generator instead, or random, np.random or torch",
        )
        compared.append(first)
    return compared


def stack(samples: list[dict[str, Any]]) -> Batch:
    """Stack samples of equal size; in a loading process, into shared memory and with uint8 masks (`to_int64`)."""
    return _finish(_stack(samples))


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
        # 8-bit images among float images in 0..1
        images = [image.float() / 255 if image.dtype == torch.uint8 else image for image in images]
    batch: Batch = {
        "image": torch.stack(images),
        "target": torch.stack([sample["target"] for sample in samples]),
        "index": torch.tensor([sample["index"] for sample in samples]),
    }
    if "partner" in samples[0]:
        batch["partner"] = torch.stack([sample["partner"] for sample in samples])
        batch["share"] = torch.stack([sample["share"] for sample in samples])
    return batch


def _finish(batch: Batch) -> Batch:
    """Return a batch in shared memory in a loading process, else with int64 targets."""
    return _share_block(batch) if get_worker_info() else to_int64(batch)


def _share_block(batch: Batch) -> Batch:
    """Copy a batch into one block of shared memory, since each block costs a handshake and a file descriptor."""
    tensors = cast(dict[str, Tensor], batch)
    ends = np.cumsum([-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors.values()]).tolist()
    block = torch.empty(ends[-1], dtype=torch.uint8).share_memory_()
    views = {
        key: block[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape).copy_(tensor)
        for (key, tensor), start in zip(tensors.items(), [0, *ends[:-1]], strict=True)
    }
    return cast(Batch, views)


def is_multilabel(target: Tensor) -> bool:
    """Return whether the targets of a batch have a channel for each class: `(N, K)` or `(N, K, H, W)`."""
    return target.ndim in (2, 4)


def to_int64(batch: Batch) -> Batch:
    """Convert class ids to int64; masks from a loading process are uint8, and multi-label targets stay so."""
    target = batch["target"]
    if target.dtype == torch.uint8 and not is_multilabel(target):
        target = torch.empty(target.shape, dtype=torch.int64, pin_memory=target.is_pinned())
        # torch would divide the conversion over the cores of the loading processes, and wait for them
        np.copyto(target.numpy(), batch["target"].numpy())
    # images are most of the block, so that a copy would gain nothing
    image = batch["image"]
    return map_tensors(lambda tensor: tensor if tensor is image else _detach_block(tensor), {**batch, "target": target})


def _detach_block(tensor: Tensor) -> Tensor:
    """Copy a tensor that is a view of a larger block, so that it does not keep the block in memory."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def map_tensors(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Apply a function to every tensor of a batch."""
    tensors = cast(dict[str, Tensor], batch)
    return cast(Batch, {key: function(tensor) for key, tensor in tensors.items()})


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to a device."""
    return map_tensors(lambda tensor: tensor.to(device), batch)


def mix_pair(sample: dict[str, Any], partner: dict[str, Any], mixture: tuple[float, ...]) -> dict[str, Any]:
    """Mix the image of a sample with that of another one, and add the target of that and the share of the sample.

    Args:
        sample: The sample.
        partner: The other one.
        mixture: How they are mixed, a row of `Mixing.draw`.

    Raises:
        DataError: If they differ in size.
    """
    image, partner_image = _stack([sample, partner])["image"].split(1)
    mixed_image, share = mix_images(image, partner_image, torch.tensor([mixture]))
    return {**sample, "image": mixed_image[0], "partner": partner["target"], "share": share[0]}


def stack_training(samples: list[dict[str, Any]]) -> Batch:
    """Stack samples as `stack` does, with the `counts` of their targets; see `Batch`."""
    batch = _stack(samples)
    batch["counts"] = _count(batch["target"])
    return _finish(batch)


def _count(target: Tensor) -> Tensor:
    """Return the `counts` of the targets of a batch."""
    if not is_multilabel(target):
        return target.flatten().bincount(minlength=IGNORE + 1)
    channels = target.transpose(0, 1).flatten(1)
    return torch.stack([(channels == value).sum(1) for value in (0, 1)], 1)


def stack_by_size(samples: list[dict[str, Any]]) -> list[Batch]:
    """Stack samples by image and target size, in order of first appearance; padding is dropped."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for sample in samples:
        if sample["index"] != PADDING:
            groups.setdefault((sample["image"].shape, sample["target"].shape), []).append(sample)
    return [stack(group) for group in groups.values()]


def default_workers(processes: int) -> int:
    """Return the default number of loading processes: the cores per training process less one, 8 at most."""
    return min(8, max(0, usable_cores() // processes - 1))


@cache
def affordable_workers(workers: int) -> int:
    """Return the number of loading processes that the limit of open files allows, after raising it where possible.

    Without a free file descriptor a loading process drops its batch, and the training would wait for it forever.

    Args:
        workers: The requested number.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES + _FILES_PER_WORKER * workers
    if not workers or soft == resource.RLIM_INFINITY or needed <= soft:
        return workers
    if hard == resource.RLIM_INFINITY or needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return workers
    fewer = max(0, hard - _FILES) // _FILES_PER_WORKER
    warn_on_rank_zero(
        f"data.num_workers: {fewer} instead of {workers}, for {hard} files may be open; raise it: ulimit -n {needed}"
    )
    return fewer


def process_options(workers: int) -> dict[str, Any]:
    """Return the options of a `DataLoader` that concern its processes.

    Args:
        workers: Number of loading processes; with 0, this process loads.
    """
    workers = affordable_workers(workers)
    # with a fork server, the default since Python 3.14, workers import torch and unpickle the dataset: they start
    # seconds later and share no memory; a fork is only safe on Linux
    context = "fork" if workers and sys.platform == "linux" else None
    return {"num_workers": workers, "worker_init_fn": start_worker, "multiprocessing_context": context}


def start_worker(_worker: int) -> None:
    """Initialize a loading process: ignore signals, and use one thread, since the workers are the parallelism."""
    # the main process handles signals; a worker that dies of one would fail the current step
    os.setpgid(0, 0)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # garbage collection writes to all existing objects, which would copy the memory shared with the main process
    gc.freeze()
