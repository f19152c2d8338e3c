"""Loaders of a split: the share of it that is this process's, and the processes that load for it."""

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
from lightseg.errors import ConfigError


class DistributedInfo(NamedTuple):
    """This process, the number of processes, and the number of batches that make up a step of each."""

    rank: int = 0
    world_size: int = 1
    accumulate: int = 1

    @classmethod
    def of(cls, trainer: L.Trainer | None) -> "DistributedInfo":
        """Return that of a trainer; without one, this process is alone."""
        return cls(trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches) if trainer else cls()


def per_process_batch_size(batch_size: int, parts: int) -> int:
    """Return the samples of each of the parts of a step: processes × accumulated batches.

    Raises:
        ConfigError: If they cannot be equal; the message has the nearest batch sizes that can be shared.
    """
    if batch_size % parts:
        below = batch_size // parts * parts
        nearest = " or ".join(str(size) for size in (below, below + parts) if size)
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
) -> StepLoader:
    """Return a loader of drawn batches with `counts`; see `Batch`.

    Args:
        samples: The training samples, augmented, or in the memory of the device.
        batch_size: Samples of a step over all processes and accumulated batches.
        seed: Seed of order and augmentation.
        weights: Share of the draws of each sample, `(N,)`; None: each is drawn once an epoch.
        info: This process among the processes.
        num_workers: Loading processes of this process; None: as many as fit its cores.

    Raises:
        ConfigError: If the batch size cannot be shared evenly.
    """
    size = per_process_batch_size(batch_size, info.world_size * info.accumulate)
    sampler = EpochSampler(len(samples), batch_size, seed, info.rank, info.world_size, weights)
    loader: StepLoader
    if isinstance(samples, DeviceDataset):
        loader = DeviceLoader(samples, size, sampler=sampler, drop_last=True)
    else:
        options = worker_options(num_workers, info.world_size)
        watched = TrackedDataset(samples, options["num_workers"])
        loader = StepLoader(watched, size, sampler=sampler, drop_last=True, collate_fn=stack_training, **options)
    loader.batches_per_step = info.accumulate
    return loader


def evaluation_loader(
    samples: TransformedDataset | DeviceDataset, batch_size: int, info: DistributedInfo, num_workers: int | None
) -> Loader:
    """Return a loader of every sample once, at its own size: each item is a list of batches, one per image size.

    Args:
        samples: The samples of a split.
        batch_size: Samples of a training step, which is what fits the memory.
        info: This process among the processes.
        num_workers: Loading processes of this process; None: as many as fit its cores.
    """
    size = max(1, batch_size // (info.world_size * info.accumulate))
    sampler = ShardSampler(len(samples), size, info.rank, info.world_size)
    if isinstance(samples, DeviceDataset):
        return DeviceEvaluationLoader(samples, size, sampler=sampler)
    options = worker_options(num_workers, info.world_size)
    watched = TrackedDataset(samples, options["num_workers"])
    return Loader(watched, size, sampler=sampler, collate_fn=stack_by_size, **options)


def worker_options(num_workers: int | None, world_size: int) -> dict[str, Any]:
    """Return the options of a `DataLoader` that depend on the machine."""
    options = process_options(num_workers if num_workers is not None else default_workers(world_size))
    return {
        **options,
        "persistent_workers": options["num_workers"] > 0,
        "pin_memory": torch.cuda.is_available(),
    }
