"""Loaders that say what broke, and that tell every batch of a step what the whole step holds."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lightseg.data.batches import Prepared
from lightseg.data.order import Position
from lightseg.errors import RunError


class Watched(Dataset[dict[str, Any]]):
    """Samples of which it is known, in shared memory, which one each loading process is at.

    Args:
        prepared: The samples.
        workers: Number of loading processes.
    """

    def __init__(self, prepared: Prepared, workers: int) -> None:
        self.prepared = prepared
        # process id and sample
        self.at = torch.full((workers, 2), -1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, position: Position | int) -> dict[str, Any]:
        worker = get_worker_info()
        if worker is not None:
            sample = position.sample if isinstance(position, Position) else position
            self.at[worker.id] = torch.tensor([os.getpid(), sample])
        return self.prepared[position]


class Loader(DataLoader[Any]):
    """A `DataLoader` of `Watched` samples.

    Its workers start with the first batch and not before: Lightning asks for an iterator before it sets the epoch.

    Raises:
        RunError: If a loading process dies; the message names the file that it was at.
    """

    dataset: Watched

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RunError(self._obituary(str(error))) from None

    def _obituary(self, error: str) -> str:
        found = re.search(r"\(pid\(?s?\)? ([\d, ]+)\)", error)
        dead = {int(pid) for pid in found[1].split(",")} if found else set()
        samples = [sample for pid, sample in self.dataset.at.tolist() if pid in dead and sample >= 0]
        names = ", ".join(self.dataset.prepared.dataset.name(sample) for sample in samples) or "no file yet"
        reason = error.partition(" is killed by ")[2] or "it ended without a word"
        return (
            f"a loading process died ({reason.strip().rstrip('.')}) while it was at {names}.\n"
            "Where memory ran out (see `dmesg`, and `df /dev/shm`), set data.num_workers lower"
        )


class StepLoader(Loader):
    """Training batches whose `counts` are those of the optimiser step: int64 `(256,)` made float, a mean per batch.

    Attributes:
        batches_per_step: How many batches of this process make a step.
    """

    batches_per_step = 1

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        while step := list(islice(batches, self.batches_per_step)):
            counts = torch.stack([batch["counts"] for batch in step]).float().mean(0)
            for batch in step:
                yield {**batch, "counts": counts}
