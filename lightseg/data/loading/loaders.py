"""Data loaders that track the sample of each loading process, and add class counts of optimizer steps to batches."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lightseg.data.loading.collate import TransformedDataset, mix_pair, to_int64
from lightseg.data.loading.samplers import EpochSampler
from lightseg.data.sample_index import SampleIndex
from lightseg.data.types import Batch
from lightseg.errors import ConfigError

_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(?: is killed by (.*?)\.? *$)?", re.MULTILINE)


class TrackedDataset(Dataset[dict[str, Any]]):
    """Dataset wrapper that mixes samples, and records, in shared memory, the one each loading process is reading.

    Args:
        samples: The samples.
        workers: Number of loading processes W.

    Attributes:
        at: Process id and current sample of each loading process, `(W, 2)` int64; -1 before its first sample.
    """

    def __init__(self, samples: TransformedDataset, workers: int) -> None:
        self.samples = samples
        self.at = torch.full((workers, 2), -1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: SampleIndex | int) -> dict[str, Any]:
        sample = self._read(position)
        if not isinstance(position, SampleIndex) or position.partner is None:
            return sample
        return mix_pair(sample, self._read(position.partner), position.mixture)

    def _read(self, position: SampleIndex | int) -> dict[str, Any]:
        worker = get_worker_info()
        if worker is not None:
            sample = position.sample if isinstance(position, SampleIndex) else position
            self.at[worker.id] = torch.tensor([os.getpid(), sample])
        return self.samples[position]


class Loader(DataLoader[Any]):
    """`DataLoader` whose workers start with the first batch, since Lightning sets the epoch after it calls `iter`."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for item in super().__iter__():
            yield [to_int64(batch) for batch in item] if isinstance(item, list) else to_int64(item)


class StepLoader(Loader):
    """Loader of training batches with the `counts` of all batches of their optimizer step.

    Attributes:
        batches_per_step: Number of batches of this process per optimizer step.
    """

    batches_per_step = 1

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        batches: Iterator[Batch] = super().__iter__()
        while step := list(islice(batches, self.batches_per_step)):
            counts = torch.stack([batch["counts"] for batch in step]).sum(0)
            for batch in step:
                yield {**batch, "counts": counts}


def require_known_order(loader: object, data: str) -> None:
    """Check that a training loader's sampler supports several processes and resuming within an epoch.

    Args:
        loader: The result of a data module's `train_dataloader`.
        data: Name of the data module.

    Raises:
        ConfigError: If its sampler is not an `EpochSampler`.
    """
    sampler = getattr(loader, "sampler", None)
    if not isinstance(sampler, EpochSampler):
        raise ConfigError(
            f"{data}.train_dataloader: the order of a {type(sampler).__name__} can neither be divided over several "
            "processes nor resumed after an interruption; use ImageDataModule's loader, or lightseg.data.EpochSampler"
        )


def describe_dead_worker(error: RuntimeError, watched: Sequence[TrackedDataset]) -> str | None:
    """Return a message about a loading process that died and the file it was reading.

    Args:
        error: The error that torch raises in the main process.
        watched: The datasets of all loaders.

    Returns:
        The message; None if the error has another cause.
    """
    match = _DEATH.search(str(error))
    if not match:
        return None
    dead_pids = {int(pid) for pid in match[1].split(",")}
    # torch names the signal only if its signal handler runs before it polls the processes
    signal = f" ({match[2]})" if match[2] else ""
    names = ", ".join(
        tracked.samples.dataset.name(sample)
        for tracked in watched
        for pid, sample in tracked.at.tolist()
        if pid in dead_pids
    )
    return (
        f"a loading process died{signal} while it was at {names or 'no file yet'}.\n"
        "If memory ran out (see `dmesg`, and `df /dev/shm`), set data.num_workers lower"
    )
