"""The order of samples: a pure function of (seed, epoch, position), the same on every machine.

Each rank draws the whole global order and takes its share, so N processes see the stream that one would see, and every
position carries the seed of its augmentation, so the pixels do not depend on workers or ranks either.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data.distributed import DistributedSampler

PADDING = -1
"""The index that fills up a rank's share at evaluation; the collate function drops it, so nothing counts twice."""

_ORDER, _SAMPLE = 1, 2


class Position(NamedTuple):
    """What a sampler hands to the dataset: which sample, and the seed of its augmentation."""

    sample: int
    seed: int


def mix(*integers: int) -> int:
    """Hash integers to one 63-bit seed; neighbouring inputs give unrelated seeds."""
    entropy = [int(i) & 0xFFFFFFFF for i in integers]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


class EpochSampler(DistributedSampler[Position]):
    """Shuffled training order, cut to whole global batches: what is left over waits for the next epoch's order.

    A `DistributedSampler`, because Lightning leaves those alone and calls their `set_epoch`.

    Args:
        length: Number of samples in the dataset.
        batch_size: Samples of a step over all processes and accumulated batches.
        seed: Seed of the run.
        rank: This process.
        world_size: Number of processes; must divide the batch size.
    """

    def __init__(self, length: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.length, self.seed, self.rank, self.num_replicas = length, seed, rank, world_size
        self.used = length // batch_size * batch_size
        self.epoch = 0

    def __len__(self) -> int:
        return self.used // self.num_replicas

    def __iter__(self) -> Iterator[Position]:
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch, _ORDER))
        order = torch.randperm(self.length, generator=generator).tolist()
        for position in range(self.rank, self.used, self.num_replicas):
            yield Position(order[position], mix(self.seed, self.epoch, _SAMPLE, position))


class ShardSampler(DistributedSampler[Position]):
    """Evaluation order: every sample once, in order; short ranks are filled up with `PADDING`.

    Args:
        length: Number of samples in the dataset.
        rank: This process.
        world_size: Number of processes.
    """

    def __init__(self, length: int, rank: int = 0, world_size: int = 1) -> None:
        self.length, self.rank, self.num_replicas = length, rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.length // self.num_replicas)

    def __iter__(self) -> Iterator[Position]:
        for position in range(self.rank, len(self) * self.num_replicas, self.num_replicas):
            yield Position(position if position < self.length else PADDING, 0)
