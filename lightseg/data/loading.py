"""A data module's samples as loaders: which share of them is this process's, and how many others load for it."""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from lightseg.data.batches import Prepared, default_workers, stack_by_size, stack_training, start_worker
from lightseg.data.loader import Loader, StepLoader, Watched
from lightseg.data.order import EpochSampler, ShardSampler

if TYPE_CHECKING:
    from lightseg.data.base import ImageDataModule


class Sharing(NamedTuple):
    """This process, the number of processes, and the number of batches that make up a step of each."""

    rank: int = 0
    world_size: int = 1
    accumulate: int = 1

    @classmethod
    def of(cls, data: "ImageDataModule") -> "Sharing":
        """That of the trainer which trains on some data; this process alone without one."""
        trainer = data.trainer
        return cls(trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches) if trainer else cls()


def training_loader(data: "ImageDataModule", samples: Prepared) -> DataLoader[Any]:
    """Drawn batches with `counts`; see `Batch`.

    Raises:
        ConfigError: If the batch size cannot be shared evenly.
    """
    rank, world_size, accumulate = Sharing.of(data)
    batch_size = data.check_batch_size(world_size, accumulate)
    sampler = EpochSampler(len(samples), data.batch_size, data.seed, rank, world_size, data.draw_weights())
    workers = worker_options(data)
    watched = _watch(data, samples, workers)
    loader = StepLoader(watched, batch_size, sampler=sampler, drop_last=True, collate_fn=stack_training, **workers)
    loader.batches_per_step = accumulate
    return loader


def evaluation_loader(data: "ImageDataModule", samples: Prepared) -> DataLoader[Any]:
    """Every sample once, at its own size: each item is a list of batches, one per image size."""
    rank, world_size, accumulate = Sharing.of(data)
    sampler = ShardSampler(len(samples), rank, world_size)
    workers = worker_options(data)
    # as in training, where memory is the limit
    batch_size = max(1, data.batch_size // (world_size * accumulate))
    return Loader(_watch(data, samples, workers), batch_size, sampler=sampler, collate_fn=stack_by_size, **workers)


def worker_options(data: "ImageDataModule") -> dict[str, Any]:
    """What a `DataLoader` is to know of the machine."""
    workers = data.num_workers if data.num_workers is not None else default_workers(Sharing.of(data).world_size)
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": start_worker,
    }


def _watch(data: "ImageDataModule", samples: Prepared, workers: dict[str, Any]) -> Watched:
    data.watched.append(Watched(samples, workers["num_workers"]))
    return data.watched[-1]
