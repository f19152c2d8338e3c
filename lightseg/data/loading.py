"""A data module's samples as loaders: which share of them is this process's, and how many others load for it."""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from lightseg.data.batches import Prepared, default_workers, process_options, stack_by_size, stack_training
from lightseg.data.loader import Loader, StepLoader, Watched
from lightseg.data.order import EpochSampler, ShardSampler
from lightseg.data.resident import Resident, ResidentEvaluation, ResidentLoader
from lightseg.errors import ConfigError

if TYPE_CHECKING:
    from lightseg.data.base import ImageDataModule, Split


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


def shared_evenly(batch_size: int, parts: int) -> int:
    """Samples of each of the parts of a step: processes × accumulated batches.

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


def training_loader(data: "ImageDataModule", samples: Prepared) -> DataLoader[Any]:
    """Drawn batches with `counts`; see `Batch`.

    Raises:
        ConfigError: If the batch size cannot be shared evenly.
    """
    rank, world_size, accumulate = Sharing.of(data)
    batch_size = data.check_batch_size(world_size, accumulate)
    sampler = EpochSampler(len(samples), data.batch_size, data.seed, rank, world_size, data.draw_weights())
    loader: StepLoader
    if data.on_device:
        loader = ResidentLoader(_resident(data, "train"), batch_size, sampler=sampler, drop_last=True)
    else:
        workers = worker_options(data)
        watched = _watch(data, samples, workers)
        loader = StepLoader(watched, batch_size, sampler=sampler, drop_last=True, collate_fn=stack_training, **workers)
    loader.batches_per_step = accumulate
    return loader


def evaluation_loader(data: "ImageDataModule", split: "Split", samples: Prepared) -> DataLoader[Any]:
    """Every sample of a split once, at its own size: each item is a list of batches, one per image size."""
    rank, world_size, accumulate = Sharing.of(data)
    # as in training, where memory is the limit
    batch_size = max(1, data.batch_size // (world_size * accumulate))
    sampler = ShardSampler(len(samples), batch_size, rank, world_size)
    if data.on_device:
        return ResidentEvaluation(_resident(data, split), batch_size, sampler=sampler)
    workers = worker_options(data)
    return Loader(_watch(data, samples, workers), batch_size, sampler=sampler, collate_fn=stack_by_size, **workers)


def worker_options(data: "ImageDataModule") -> dict[str, Any]:
    """What a `DataLoader` is to know of the machine."""
    workers = data.num_workers if data.num_workers is not None else default_workers(Sharing.of(data).world_size)
    options = process_options(workers)
    return {
        **options,
        "persistent_workers": options["num_workers"] > 0,
        "pin_memory": torch.cuda.is_available(),
    }


def hold(data: "ImageDataModule") -> None:
    """Read all splits of some data that is to lie on the device, and try what is done to them there.

    Raises:
        ConfigError: If it cannot.
        DataError: If a file is broken.
    """
    for split in ("train", "val", "test") if data.on_device else ():
        if len(data.dataset(split)):
            _resident(data, split).check()


def _resident(data: "ImageDataModule", split: "Split") -> Resident:
    """A split in memory, read once, where the trainer trains."""
    if split not in data.residents:
        before, augment = (None, data.device_transforms) if split == "train" else (data._eval_transform, ())
        data.residents[split] = Resident(data.dataset(split), split, before, augment)
    trainer = data.trainer
    return data.residents[split].to(trainer.strategy.root_device if trainer else torch.device("cpu"))


def _watch(data: "ImageDataModule", samples: Prepared, workers: dict[str, Any]) -> Watched:
    data.watched.append(Watched(samples, workers["num_workers"]))
    return data.watched[-1]
