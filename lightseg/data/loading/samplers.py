"""Samplers whose order is a pure function of (seed, epoch, position), the same on every machine.

Each rank generates the global order and takes its share, so that N processes train on the same sequence as one. Every
index carries the seed of its augmentation, so that the pixels do not depend on workers or ranks either.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data.distributed import DistributedSampler

from lightseg.data.sample_index import PADDING, SampleIndex, mix
from lightseg.data.transforms.mixing import Mixing

_ORDER, _SAMPLE, _MIXING = 1, 2, 3


class Partners(NamedTuple):
    """Samples that the samples of a share are mixed with.

    Attributes:
        samples: Sample indices, `(M,)` int64.
        positions: Their positions in the epoch, likewise.
        mixtures: `(M, 5)` float32, rows of `Mixing.draw`.
    """

    samples: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    mixtures: npt.NDArray[np.float32]


class EpochShare(NamedTuple):
    """Samples of a process in an epoch.

    Attributes:
        samples: Sample indices, `(M,)` int64.
        positions: Their positions in the epoch, likewise.
        partners: The samples that they are mixed with; None for no mixtures.
    """

    samples: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    partners: Partners | None = None


class EpochSampler(DistributedSampler[SampleIndex]):
    """Shuffled training order of complete global batches.

    Without weights every sample is used once, except for an incomplete last batch. With weights, an epoch of the same
    length is drawn by `systematic_draw`. A `DistributedSampler`, since Lightning does not replace those and calls their
    `set_epoch`.

    Args:
        length: Number of samples in the dataset.
        batch_size: Samples of an optimizer step over all processes and accumulated batches.
        seed: Seed of the run.
        rank: Index of this process.
        world_size: Number of processes; must divide the batch size.
        weights: Sampling weight of each sample, `(length,)` float64, at least 0; None for equal frequency.
        mixing: Mixtures of two samples of a global batch: each is mixed with the one at the mirrored position, and both
            by the same share, so that the classes of a batch have the weights that they have without. None: no
            mixtures.

    Attributes:
        start: Number of samples, over all processes, that the next iteration skips because they were trained on before
            an interruption; complete global batches. Later iterations and `len()` are not affected.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        weights: npt.NDArray[np.float64] | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        self.length, self.seed, self.rank, self.num_replicas = length, seed, rank, world_size
        self.batch_size, self.weights, self.mixing = batch_size, weights, mixing
        self.num_drawn = length // batch_size * batch_size
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return self.num_drawn // self.num_replicas

    def __iter__(self) -> Iterator[SampleIndex]:
        samples, positions, partners = self.share()
        indices = self._indices(samples, positions)
        if partners is None:
            yield from indices
            return
        partner_indices = self._indices(partners.samples, partners.positions)
        for index, partner, mixture in zip(indices, partner_indices, partners.mixtures.tolist(), strict=True):
            yield index._replace(partner=partner, mixture=tuple(mixture))

    def _indices(self, samples: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]) -> Iterator[SampleIndex]:
        for sample, position in zip(samples.tolist(), positions.tolist(), strict=True):
            yield SampleIndex(sample, mix(self.seed, self.epoch, _SAMPLE, position))

    def share(self) -> EpochShare:
        """Return this process's samples of the next iteration as arrays, and reset `start`.

        Raises:
            ValueError: If `start` is not a multiple of the number of processes.
        """
        start, self.start = self.start, 0
        if start % self.num_replicas:
            raise ValueError(f"start: {start} samples are not complete global batches of {self.num_replicas} processes")
        positions, order = np.arange(start + self.rank, self.num_drawn, self.num_replicas), self._order()
        if not self.mixing:
            return EpochShare(order[positions], positions)
        mirrored = positions // self.batch_size * 2 * self.batch_size + self.batch_size - 1 - positions
        mixtures = self.mixing.draw(self.num_drawn, np.random.default_rng(mix(self.seed, self.epoch, _MIXING)))
        partners = Partners(order[mirrored], mirrored, mixtures[np.minimum(positions, mirrored)])
        return EpochShare(order[positions], positions, partners)

    def _order(self) -> npt.NDArray[np.intp]:
        # an array, since a forked loading process would copy the memory of a list
        seed = mix(self.seed, self.epoch, _ORDER)
        if self.weights is None:
            return torch.randperm(self.length, generator=torch.Generator().manual_seed(seed)).numpy()
        return systematic_draw(self.weights, self.num_drawn, np.random.default_rng(seed))


def systematic_draw(weights: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw samples in proportion to their weights by systematic sampling, which has minimal variance.

    Intervals of the weights' lengths are joined in random order, and every sample whose interval contains one of
    `count` equally spaced points with a random offset is drawn. So each is drawn the floor or the ceiling of its
    expected number of times; independent draws would omit about a third of the samples that are expected once.

    Args:
        weights: `(N,)` float64, at least 0, not all 0; a sample of weight 0 is never drawn.
        count: Number of draws.
        rng: Random generator.

    Returns:
        Sample indices in random order, `(count,)` int64.

    Source: Baker 1987, "Reducing bias and inefficiency in the selection algorithm" (stochastic universal sampling);
    Kitagawa 1996, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models".
    """
    samples = rng.permutation(np.flatnonzero(weights))
    ends = np.cumsum(weights[samples])
    points = (rng.random() + np.arange(count)) / count * ends[-1]
    # the last end is left out, since rounding may put it slightly below the last point
    return rng.permutation(samples[np.searchsorted(ends[:-1], points, side="right")])


class ShardSampler(DistributedSampler[SampleIndex]):
    """Evaluation order: every sample once, assigned to the ranks by whole batches, filled up with `PADDING`.

    A batch has the same samples on any number of ranks. The last bits of logits depend on the other images of their
    batch, so without this the scores would depend on the number of ranks.

    Args:
        length: Number of samples in the dataset.
        batch_size: Samples per batch and rank.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(self, length: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.length, self.batch_size, self.rank, self.num_replicas = length, batch_size, rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.length // (self.batch_size * self.num_replicas)) * self.batch_size

    def __iter__(self) -> Iterator[SampleIndex]:
        step = self.batch_size * self.num_replicas
        for start in range(self.rank * self.batch_size, len(self) * self.num_replicas, step):
            for position in range(start, start + self.batch_size):
                yield SampleIndex(position if position < self.length else PADDING, 0)
