"""Construction of the loaders of a split, for this process's share of it."""

from typing import Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from lightseg.data.loading.collate import (
    TransformedDataset,
    default_workers,
    process_options,
    stack_by_size,
    stack_training,
)
from lightseg.data.loading.loaders import Loader, StepLoader, TrackedDataset
from lightseg.data.loading.on_device import DeviceDataset, DeviceEvaluationLoader, DeviceLoader
from lightseg.data.loading.samplers import EpochSampler, ShardSampler
from lightseg.data.transforms.mixing import Mixing
from lightseg.errors import ConfigError


class DistributedInfo(NamedTuple):
    """Rank, number of training processes, and batches per process and optimizer step."""

    rank: int = 0
    world_size: int = 1
    accumulate: int = 1

    @classmethod
    def of(cls, trainer: L.Trainer | None) -> "DistributedInfo":
        """Return the info of a trainer; without one, of a single process."""
        return cls(trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches) if trainer else cls()


def per_process_batch_size(batch_size: int, parts: int) -> int:
    """Return the samples per process and forward pass.

    Args:
        batch_size: Samples of an optimizer step.
        parts: Processes × accumulated batches.

    Raises:
        ConfigError: If the division leaves a remainder; the message has the nearest sizes without one.
    """
    if batch_size % parts:
        lower = batch_size // parts * parts
        nearest = " or ".join(str(size) for size in (lower, lower + parts) if size)
        raise ConfigError(
            f"data.batch_size: {batch_size} samples cannot be shared by {parts} "
            f"(processes × accumulate_grad_batches); the nearest that can: {nearest}"
        )
    return batch_size // parts


def training_loader(
    samples: TransformedDataset | DeviceDataset,
    batch_size: int,
    seed: int,
    weights: npt.NDArray[np.float64] | None,
    info: DistributedInfo,
    num_workers: int | None,
    mixing: Mixing | None = None,
) -> StepLoader:
    """Return a loader of training batches with `counts`; see `Batch`.

    Args:
        samples: The augmented training samples, or those in the memory of the device.
        batch_size: Samples of an optimizer step over all processes and accumulated batches.
        seed: Seed of order and augmentation.
        weights: Sampling weight of each sample, `(N,)` float64; None: every sample once per epoch.
        info: Rank and number of processes.
        num_workers: Loading processes of this process; None: follows the number of cores.
        mixing: Mixtures of two samples; None for none.

    Raises:
        ConfigError: If the batch size does not divide evenly over processes and accumulated batches.
    """
    size = per_process_batch_size(batch_size, info.world_size * info.accumulate)
    sampler = EpochSampler(len(samples), batch_size, seed, info.rank, info.world_size, weights, mixing)
    loader: StepLoader
    if isinstance(samples, DeviceDataset):
        loader = DeviceLoader(samples, size, sampler=sampler, drop_last=True)
    else:
        options = worker_options(num_workers, info.world_size)
        tracked = TrackedDataset(samples, options["num_workers"])
        loader = StepLoader(tracked, size, sampler=sampler, drop_last=True, collate_fn=stack_training, **options)
    loader.batches_per_step = info.accumulate
    return loader


def evaluation_loader(
    samples: TransformedDataset | DeviceDataset, batch_size: int, info: DistributedInfo, num_workers: int | None
) -> Loader:
    """Return a loader of every sample once, unpadded: each item is a list of batches, one per image size.

    Args:
        samples: The samples of a split.
        batch_size: Samples of an optimizer step, of which evaluation takes as many per forward pass as training.
        info: Rank and number of processes.
        num_workers: Loading processes of this process; None: follows the number of cores.
    """
    size = max(1, batch_size // (info.world_size * info.accumulate))
    sampler = ShardSampler(len(samples), size, info.rank, info.world_size)
    if isinstance(samples, DeviceDataset):
        return DeviceEvaluationLoader(samples, size, sampler=sampler)
    options = worker_options(num_workers, info.world_size)
    tracked = TrackedDataset(samples, options["num_workers"])
    return Loader(tracked, size, sampler=sampler, collate_fn=stack_by_size, **options)


def worker_options(num_workers: int | None, world_size: int) -> dict[str, Any]:
    """Return the options of a `DataLoader` that depend on the machine.

    Args:
        num_workers: Loading processes; None: follows the number of cores.
        world_size: Number of training processes on which the cores are divided.
    """
    options = process_options(num_workers if num_workers is not None else default_workers(world_size))
    return {
        **options,
        "persistent_workers": options["num_workers"] > 0,
        "pin_memory": torch.cuda.is_available(),
    }
