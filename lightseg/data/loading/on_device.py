"""Small sets wholly in memory, on the device that trains: batches are cut out of one tensor, nothing is loaded."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightseg.data.dataset import ImageDataset
from lightseg.data.device_transforms import DeviceTransform, transformed
from lightseg.data.loading.collate import Batch
from lightseg.data.loading.loaders import Loader, StepLoader
from lightseg.data.loading.samplers import EpochSampler
from lightseg.data.sample_index import PADDING, SampleIndex
from lightseg.data.transforms.counter_rng import Draws
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.errors import require
from lightseg.labels import IGNORE

_BLOCK = 2**22
"""Bytes of images that are cut out at once: so many batches share the price of asking the device for them."""

_TRIED = 64
"""Samples that the transforms are tried on before anything is trained."""


class DeviceDataset(Dataset[Any]):
    """Split in memory: images `(N, C, H, W)` as they are in the files, masks `(N, H, W)` uint8 or class ids `(N,)`.

    Args:
        dataset: The split.
        name: What it is called, for messages.
        before: Applied to every sample once, when it is read.
        augment: Applied to every batch, when it is cut out.

    Raises:
        ConfigError: If the samples are not all of one size, or the memory does not suffice.
        DataError: If a file is broken.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        name: str,
        before: EvalTransform | None = None,
        augment: Sequence[DeviceTransform] = (),
    ) -> None:
        self._name, self._augment = name, augment
        self.images, self.targets = self._read(dataset, before)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Return where it lies."""
        return self.images.device

    def to(self, device: torch.device) -> "DeviceDataset":
        """Move it to a device.

        Raises:
            ConfigError: If it does not fit there.
        """
        if device != self.device:
            self._require_memory(self.images.nbytes + self.targets.nbytes, device)
            self.images, self.targets = self.images.to(device), self.targets.to(device)
        return self

    def batch(self, samples: Tensor) -> Batch:
        """Some samples as they are; `samples` `(N,)` int64 on its device."""
        return {
            "image": self.images.index_select(0, samples),
            "target": self.targets.index_select(0, samples).long(),
            "index": samples,
        }

    def augmented(self, samples: Tensor, positions: Tensor, seed: int, epoch: int) -> Batch:
        """Some samples as they are trained on at positions `(N,)` of an epoch."""
        batch, draws = self.batch(samples), Draws.of(seed, epoch, positions, samples)
        batch["image"], batch["target"] = transformed(self._augment, batch["image"], batch["target"], draws)
        return batch

    def check(self) -> None:
        """See that the transforms keep the kind of images and targets, and have no other chance than what they get.

        Raises:
            ConfigError: If not.
        """
        some = torch.arange(min(len(self), _TRIED), device=self.device)
        before, after, again = self.batch(some), *(self.augmented(some, some, 0, 0) for _ in range(2))
        for part in ("image", "target"):
            require(
                after[part].shape == before[part].shape and after[part].dtype == before[part].dtype,
                f"data.device_transforms: each {part} is {_said(before[part][0])} and becomes {_said(after[part][0])}; "
                "a transform must keep shapes and types, since a task takes floating-point images to be 0 to 1",
            )
            require(
                torch.equal(after[part], again[part]),
                f"data.device_transforms: some {part} comes out differently when it is drawn again with the same "
                "chance: some transform has random numbers of its own; take them from `draws` alone",
            )

    def _read(self, dataset: ImageDataset, before: EvalTransform | None) -> tuple[Tensor, Tensor]:
        def read(index: int) -> tuple[Any, Any]:
            image, target = dataset[index] if before is None else before(*dataset[index], 0)
            return image.transpose(2, 0, 1), np.asarray(target)

        first, target = read(0)
        self._require_memory(len(dataset) * (first.nbytes + target.nbytes), torch.device("cpu"))
        images = np.empty((len(dataset), *first.shape), first.dtype)
        targets = np.empty((len(dataset), *target.shape), target.dtype)
        for index in range(len(dataset)):
            image, target = read(index)
            for array, part, what in ((images, image, "image"), (targets, target, "mask")):
                require(
                    part.shape == array.shape[1:] and part.dtype == array.dtype,
                    f"data.on_device: the {what}s of the {self._name} split are not all alike and form no "
                    f"tensor: {dataset.name(0)} is {_said(array[0])}, {dataset.name(index)} is {_said(part)}; leave "
                    "data.on_device and data.device_transforms out",
                )
            images[index], targets[index] = image, target
        return torch.from_numpy(images), torch.from_numpy(targets)

    def _require_memory(self, needed: int, device: torch.device) -> None:
        free = _free(device)
        require(
            free is None or needed < free,
            f"data.on_device: the {self._name} split needs {needed / 1e9:.1f} GB, and {(free or 0) / 1e9:.1f} GB are "
            f"free on the device ({device}); leave data.on_device and data.device_transforms out",
        )


class DeviceLoader(StepLoader):
    """Training batches of a `DeviceDataset`: those of a `StepLoader` with the same sampler, to the bit.

    Nothing waits for the device.
    """

    dataset: DeviceDataset

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        seed, epoch, chosen, places = _share(self.sampler)
        size, step = self.batch_size or 1, (self.batch_size or 1) * self.batches_per_step
        samples, positions = (torch.from_numpy(part).to(self.dataset.device) for part in (chosen, places))
        block = max(1, _BLOCK // (step * self.dataset.images[0].nbytes)) * step
        end = len(samples) // size * size
        for start in range(0, end, block):
            now = slice(start, min(start + block, end))
            images = self.dataset.augmented(samples[now], positions[now], seed, epoch)
            counts = _counts(images["target"], step)
            for first in range(0, len(images["index"]), size):
                batch = {name: values[first : first + size] for name, values in images.items()}
                yield {**batch, "counts": counts[first // step]}


class DeviceEvaluationLoader(Loader):
    """Evaluation batches of a `DeviceDataset`: what a `Loader` with `stack_by_size` gives of the same sampler."""

    dataset: DeviceDataset

    def __iter__(self) -> Iterator[list[Batch]]:  # type: ignore[override]
        size = self.batch_size or 1
        order = [item.sample if isinstance(item, SampleIndex) else int(item) for item in self.sampler]
        # padding is at the end, so that what is there keeps its place
        present = torch.tensor([sample for sample in order if sample != PADDING], dtype=torch.int64)
        samples = present.to(self.dataset.device)
        for first in range(0, len(order), size):
            some = samples[first : first + size]
            yield [self.dataset.batch(some)] if len(some) else []


def check_on_device_options(on_device: bool, on_samples: bool, on_batches: Sequence[DeviceTransform]) -> None:
    """See that what is asked for happens where the data lies.

    Args:
        on_device: `data.on_device`.
        on_samples: Whether something is done to single samples while they are loaded.
        on_batches: `data.device_transforms`.

    Raises:
        ConfigError: If it does not.
    """
    require(
        on_device or not on_batches,
        "data.device_transforms: these are for batches that are cut out of a set in memory; "
        "set data.on_device: true, or leave them out",
    )
    require(
        not (on_device and on_samples),
        "data.on_device: train_transforms, rare_transforms and copy_paste change samples one by one while they are "
        "loaded, and nothing is loaded here; set data.train_transforms: [], leave the others out, and give "
        "data.device_transforms instead (RandomFlip, AlternatingFlip, RandomTranslate, Cutout)",
    )


def _share(sampler: Any) -> tuple[int, int, Any, Any]:
    """Seed and epoch, and this process's samples of the epoch with their positions."""
    if isinstance(sampler, EpochSampler):
        return sampler.seed, sampler.epoch, *sampler.share()
    # one that is not ours, such as that of Lightning's overfit_batches
    samples = np.fromiter(sampler, np.int64)
    return 0, 0, samples, np.arange(len(samples))


def _counts(targets: Tensor, step: int) -> Tensor:
    """Return the class counts of each step, void last, int64 `(steps, 256)`; `bincount` would wait for the device."""
    steps = torch.arange(len(targets), device=targets.device) // step
    slots = (
        (steps[:, None] * (IGNORE + 1) + targets.flatten(1)).flatten()
        if targets.ndim > 1
        else (steps * (IGNORE + 1) + targets)
    )
    counts = slots.new_zeros(-(-len(targets) // step) * (IGNORE + 1))
    return counts.scatter_add_(0, slots, torch.ones_like(slots)).view(-1, IGNORE + 1)


def _free(device: torch.device) -> int | None:
    """Bytes of memory that are free on a device; None if it does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    report = Path("/proc/meminfo")
    lines = report.read_text().splitlines() if device.type == "cpu" and report.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _said(array: Any) -> str:
    return f"{'×'.join(map(str, array.shape))} {array.dtype}"
