"""Loaders that know what each of their processes is at, and tell every batch of a step what the whole step holds."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lightseg.data.loading.collate import TransformedDataset, to_int64
from lightseg.data.loading.samplers import EpochSampler
from lightseg.data.sample_index import SampleIndex
from lightseg.errors import ConfigError

_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(?: is killed by (.*?)\.? *$)?", re.MULTILINE)


class TrackedDataset(Dataset[dict[str, Any]]):
    """Samples of which it is known, in shared memory, which one each loading process is at.

    Args:
        prepared: The samples.
        workers: Number of loading processes.
    """

    def __init__(self, prepared: TransformedDataset, workers: int) -> None:
        self.prepared = prepared
        # process id and sample
        self.at = torch.full((workers, 2), -1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, position: SampleIndex | int) -> dict[str, Any]:
        worker = get_worker_info()
        if worker is not None:
            sample = position.sample if isinstance(position, SampleIndex) else position
            self.at[worker.id] = torch.tensor([os.getpid(), sample])
        return self.prepared[position]


class Loader(DataLoader[Any]):
    """`DataLoader` whose workers start with its first batch: Lightning asks for an iterator, then sets the epoch."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for item in super().__iter__():
            yield to_int64(item) if isinstance(item, dict) else [to_int64(batch) for batch in item]


class StepLoader(Loader):
    """Training batches whose `counts`, int64 `(256,)`, are those of all batches of their optimiser step.

    Attributes:
        batches_per_step: How many batches of this process make a step.
    """

    batches_per_step = 1

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        while step := list(islice(batches, self.batches_per_step)):
            counts = torch.stack([batch["counts"] for batch in step]).sum(0)
            for batch in step:
                yield {**batch, "counts": counts}


def require_known_order(loader: object, data: str) -> None:
    """See that the order of a training loader is one that can be shared by processes and gone on with after a kill.

    Args:
        loader: What a data module's `train_dataloader` gives.
        data: The data module's name.

    Raises:
        ConfigError: If it is of another kind.
    """
    sampler = getattr(loader, "sampler", None)
    if not isinstance(sampler, EpochSampler):
        raise ConfigError(
            f"{data}.train_dataloader: a {type(sampler).__name__} gives an order that can neither be shared by several "
            "processes nor gone on with after a kill; leave it to ImageDataModule, or take lightseg.data.EpochSampler"
        )


def describe_dead_worker(error: RuntimeError, watched: Sequence[TrackedDataset]) -> str | None:
    """Return what to say about a loading process that died, and the file that it was at; None if that is not the error.

    Args:
        error: What torch raises, in whatever the main process is doing at that moment.
        watched: The samples of all loaders.
    """
    match = _DEATH.search(str(error))
    if not match:
        return None
    dead = {int(process) for process in match[1].split(",")}
    # torch knows the signal where its handler is faster than its look at the processes
    signal = f" ({match[2]})" if match[2] else ""
    names = ", ".join(
        samples.prepared.dataset.name(sample)
        for samples in watched
        for process, sample in samples.at.tolist()
        if process in dead
    )
    return (
        f"a loading process died{signal} while it was at {names or 'no file yet'}.\n"
        "Where memory ran out (see `dmesg`, and `df /dev/shm`), set data.num_workers lower"
    )
