"""Datasets in the memory of the training device, for small sets: batches are gathered from one tensor."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightseg.data.dataset import ImageDataset
from lightseg.data.device_transforms import DeviceTransform, apply_transforms
from lightseg.data.loading.collate import is_multilabel, map_tensors
from lightseg.data.loading.loaders import Loader, StepLoader
from lightseg.data.loading.samplers import EpochSampler, EpochShare
from lightseg.data.sample_index import PADDING, SampleIndex
from lightseg.data.transforms.counter_rng import Draws
from lightseg.data.transforms.mixing import mix_images
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import Array, Batch
from lightseg.errors import require
from lightseg.labels import IGNORE

_BLOCK = 2**22
"""Bytes of images that are gathered at once, so that several batches share the cost of launching kernels."""

_CHECKED = 64
"""Number of samples that the transforms are checked on before training."""


class DeviceDataset(Dataset[Any]):
    """Dataset in the memory of a device.

    Args:
        dataset: The dataset of a split.
        name: Name of the split, for messages.
        before: Transform of every sample, applied once when it is read.
        augment: Transforms of every training batch.

    Attributes:
        images: `(N, C, H, W)`, uint8 or float32 in 0..1.
        targets: Masks `(N, H, W)` uint8, or class ids `(N,)` int64; of multi-label data, `(N, K, H, W)` or `(N, K)`
            uint8.

    Raises:
        ConfigError: If the samples differ in size or type, or the memory does not suffice.
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
        """Device of the tensors."""
        return self.images.device

    def to(self, device: torch.device) -> "DeviceDataset":
        """Move the dataset to a device, in place.

        Raises:
            ConfigError: If the device's memory does not suffice.
        """
        if device != self.device:
            self._require_memory(self.images.nbytes + self.targets.nbytes, device)
            self.images, self.targets = self.images.to(device), self.targets.to(device)
        return self

    def batch(self, samples: Tensor) -> Batch:
        """Return the samples with indices `(N,)` int64 (on the same device) without augmentation."""
        targets = self.targets.index_select(0, samples)
        return {
            "image": self.images.index_select(0, samples),
            "target": targets if is_multilabel(targets) else targets.long(),
            "index": samples,
        }

    def augmented(self, samples: Tensor, positions: Tensor, seed: int, epoch: int) -> Batch:
        """Return augmented samples.

        Args:
            samples: Indices of the samples, `(N,)` int64, on the same device.
            positions: Their positions in the epoch, `(N,)` int64, likewise.
            seed: Seed of the run.
            epoch: Index of the epoch.
        """
        batch, draws = self.batch(samples), Draws.of(seed, epoch, positions, samples)
        batch["image"], batch["target"] = apply_transforms(self._augment, batch["image"], batch["target"], draws)
        return batch

    def check(self) -> None:
        """Check that the transforms keep shapes and dtypes, and take all random numbers from `draws`.

        Raises:
            ConfigError: If one does not.
        """
        samples = torch.arange(min(len(self), _CHECKED), device=self.device)
        original, first, second = self.batch(samples), *(self.augmented(samples, samples, 0, 0) for _ in range(2))
        keys: tuple[Literal["image", "target"], ...] = ("image", "target")
        for key in keys:
            before, after = original[key], first[key]
            require(
                after.shape == before.shape and after.dtype == before.dtype,
                f"data.device_transforms: each {key} is {_describe(before[0])} and becomes {_describe(after[0])}; a "
                "transform must keep shapes and dtypes, since tasks expect floating-point images in 0 to 1",
            )
            require(
                torch.equal(after, second[key]),
                f"data.device_transforms: the {key} of a sample differs when augmented again with the same `draws`: a "
                "transform has its own random numbers; take them from `draws` alone",
            )

    def _read(self, dataset: ImageDataset, before: EvalTransform | None) -> tuple[Tensor, Tensor]:
        def read(index: int) -> tuple[Array, Array]:
            image, target = dataset[index] if before is None else before(*dataset[index], 0)
            labels = np.asarray(target)
            return image.transpose(2, 0, 1), np.moveaxis(labels, -1, 0) if labels.ndim == 3 else labels

        first, target = read(0)
        self._require_memory(len(dataset) * (first.nbytes + target.nbytes), torch.device("cpu"))
        images = np.empty((len(dataset), *first.shape), first.dtype)
        targets = np.empty((len(dataset), *target.shape), target.dtype)
        for index in range(len(dataset)):
            image, target = read(index)
            for kind, array, stack in (("image", image, images), ("mask", target, targets)):
                require(
                    array.shape == stack.shape[1:] and array.dtype == stack.dtype,
                    f"data.on_device: the {kind}s of the {self._name} split differ in size or type and form no tensor: "
                    f"{dataset.name(0)} is {_describe(stack[0])}, {dataset.name(index)} is {_describe(array)}; leave "
                    "data.on_device and data.device_transforms out",
                )
            images[index], targets[index] = image, target
        return torch.from_numpy(images), torch.from_numpy(targets)

    def _require_memory(self, needed: int, device: torch.device) -> None:
        free = _free_memory(device)
        require(
            free is None or needed < free,
            f"data.on_device: the {self._name} split needs {needed / 1e9:.1f} GB, and {(free or 0) / 1e9:.1f} GB are "
            f"free on the device ({device}); leave data.on_device and data.device_transforms out",
        )


class DeviceLoader(StepLoader):
    """Loader of training batches of a `DeviceDataset`, bit-identical to those of a `StepLoader` with its sampler.

    It never synchronizes with the device.
    """

    dataset: DeviceDataset

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        seed, epoch, share = _share(self.sampler)
        samples, positions, *partner_tensors = (
            torch.from_numpy(array).to(self.dataset.device) for array in (*share[:2], *(share.partners or ()))
        )
        size, step = self.batch_size or 1, (self.batch_size or 1) * self.batches_per_step
        block_size = max(1, _BLOCK // (step * self.dataset.images[0].nbytes)) * step
        num_samples = len(samples) // size * size
        for start in range(0, num_samples, block_size):
            rows = slice(start, min(start + block_size, num_samples))
            block = self.dataset.augmented(samples[rows], positions[rows], seed, epoch)
            if partner_tensors:
                partner_samples, partner_positions, mixtures = (tensor[rows] for tensor in partner_tensors)
                partners = self.dataset.augmented(partner_samples, partner_positions, seed, epoch)
                block["partner"] = partners["target"]
                block["image"], block["share"] = mix_images(block["image"], partners["image"], mixtures)
            counts = _count_classes(block["target"], step)
            for first in range(0, len(block["index"]), size):
                part = slice(first, first + size)
                yield {**map_tensors(lambda tensor: tensor[part], block), "counts": counts[first // step]}  # noqa: B023


class DeviceEvaluationLoader(Loader):
    """Loader of evaluation batches of a `DeviceDataset`, equal to those of a `Loader` with `stack_by_size`."""

    dataset: DeviceDataset

    def __iter__(self) -> Iterator[list[Batch]]:  # type: ignore[override]
        size = self.batch_size or 1
        order = [index.sample if isinstance(index, SampleIndex) else int(index) for index in self.sampler]
        # padding is at the end, so without it the samples keep their positions
        samples = torch.tensor([sample for sample in order if sample != PADDING], dtype=torch.int64)
        samples = samples.to(self.dataset.device)
        for first in range(0, len(order), size):
            part = samples[first : first + size]
            yield [self.dataset.batch(part)] if len(part) else []


def check_on_device_options(on_device: bool, on_samples: bool, on_batches: Sequence[DeviceTransform]) -> None:
    """Check that the transforms fit `data.on_device`.

    Args:
        on_device: `data.on_device`.
        on_samples: Whether single training samples are augmented while they are loaded.
        on_batches: `data.device_transforms`.

    Raises:
        ConfigError: If they do not.
    """
    require(
        on_device or not on_batches,
        "data.device_transforms: these need the data in the memory of the device; set data.on_device: true, or leave "
        "them out",
    )
    require(
        not (on_device and on_samples),
        "data.on_device: train_transforms, rare_transforms and copy_paste apply to single samples while they are "
        "loaded, and with on_device none are; set data.train_transforms: [], leave the others out, and use "
        "data.device_transforms instead (RandomFlip, AlternatingFlip, RandomTranslate, Cutout)",
    )


def _share(sampler: Any) -> tuple[int, int, EpochShare]:
    """Return seed, epoch, and this process's samples of the epoch."""
    if isinstance(sampler, EpochSampler):
        return sampler.seed, sampler.epoch, sampler.share()
    # another sampler, such as that of Lightning's overfit_batches
    samples = np.fromiter(sampler, np.int64)
    return 0, 0, EpochShare(samples, np.arange(len(samples)))


def _count_classes(targets: Tensor, step: int) -> Tensor:
    """Return the `counts` of each step (see `Batch`), int64; `bincount` would synchronize with the device."""
    steps = torch.arange(len(targets), device=targets.device) // step
    if is_multilabel(targets):
        channels = targets.view(*targets.shape[:2], -1)
        per_sample = torch.stack([(channels == value).sum(2) for value in (0, 1)], 2)
        return per_sample.new_zeros(-(-len(targets) // step), *per_sample.shape[1:]).index_add_(0, steps, per_sample)
    slots = (
        (steps[:, None] * (IGNORE + 1) + targets.flatten(1)).flatten()
        if targets.ndim > 1
        else (steps * (IGNORE + 1) + targets)
    )
    counts = slots.new_zeros(-(-len(targets) // step) * (IGNORE + 1))
    return counts.scatter_add_(0, slots, torch.ones_like(slots)).view(-1, IGNORE + 1)


def _free_memory(device: torch.device) -> int | None:
    """Return the bytes of free memory of a device; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    report = Path("/proc/meminfo")
    lines = report.read_text().splitlines() if device.type == "cpu" and report.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _describe(array: Array | Tensor) -> str:
    return f"{'×'.join(map(str, array.shape))} {array.dtype}"
