"""Order of samples: a pure function of (seed, epoch, position), the same on every machine.

Each rank draws the whole global order and takes its share, so N processes see the stream that one would see, and every
position carries the seed of its augmentation, so the pixels do not depend on workers or ranks either.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data.distributed import DistributedSampler

from lightseg.data.sample_index import PADDING, SampleIndex, mix

_ORDER, _SAMPLE = 1, 2


class EpochSampler(DistributedSampler[SampleIndex]):
    """Shuffled training order of whole global batches.

    Without weights every sample comes once, and what is left over waits for the next epoch's order. With weights the
    epoch is as long, but drawn by `systematic_draw`. A `DistributedSampler`, because Lightning leaves those alone and
    calls their `set_epoch`.

    Args:
        length: Number of samples in the dataset.
        batch_size: Samples of a step over all processes and accumulated batches.
        seed: Seed of the run.
        rank: This process.
        world_size: Number of processes; must divide the batch size.
        weights: How often each sample is drawn relative to the others, `(length,)`, at least 0; None for equally often.

    Attributes:
        start: Samples of the epoch, over all processes, that the next iteration leaves out because they were trained
            on before an interruption; whole global batches. The iteration after it is whole again, and so is `len()`.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.length, self.seed, self.rank, self.num_replicas = length, seed, rank, world_size
        self.weights = weights
        self.used = length // batch_size * batch_size
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return self.used // self.num_replicas

    def __iter__(self) -> Iterator[SampleIndex]:
        samples, positions = self.share()
        for sample, position in zip(samples.tolist(), positions.tolist(), strict=True):
            yield SampleIndex(sample, mix(self.seed, self.epoch, _SAMPLE, position))

    def share(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return this process's samples of the next iteration at once, and their positions in the epoch."""
        start, self.start = self.start, 0
        if start % self.num_replicas:
            raise ValueError(f"start: {start} samples are not whole global batches of {self.num_replicas} processes")
        positions = np.arange(start + self.rank, self.used, self.num_replicas)
        return self._order()[positions], positions

    def _order(self) -> npt.NDArray[np.intp]:
        # an array: of a list of a million numbers, a loading process that is forked later would make a copy
        seed = mix(self.seed, self.epoch, _ORDER)
        if self.weights is None:
            return torch.randperm(self.length, generator=torch.Generator().manual_seed(seed)).numpy()
        return systematic_draw(self.weights, self.used, np.random.default_rng(seed))


def systematic_draw(weights: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw samples in proportion to their weights, with as little left to chance as can be.

    The weights are laid end to end in random order, and `count` equally spaced ticks are laid beside them at a random
    offset: every sample under a tick is drawn. So each is drawn the floor or the ceiling of its expected number of
    times; independent draws would leave out about a third of the samples that are expected once.

    Args:
        weights: `(N,)`, at least 0, not all 0; a sample of weight 0 is never drawn.
        count: Number of draws.
        rng: Where chance comes from.

    Returns:
        Sample numbers in random order, `(count,)`.

    Source: Baker 1987, "Reducing bias and inefficiency in the selection algorithm" (stochastic universal sampling);
    Kitagawa 1996, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models".
    """
    samples = rng.permutation(np.flatnonzero(weights))
    ends = np.cumsum(weights[samples])
    ticks = (rng.random() + np.arange(count)) / count * ends[-1]
    # without the last end, which rounding may leave a little below the last tick
    return rng.permutation(samples[np.searchsorted(ends[:-1], ticks, side="right")])


class ShardSampler(DistributedSampler[SampleIndex]):
    """Evaluation order: every sample once, dealt to the ranks by whole batches, which `PADDING` fills up.

    A batch holds the same samples on any number of ranks. Logits depend, in their last bits, on the images that are
    computed together; so what is counted does not depend on the number of ranks.

    Args:
        length: Number of samples in the dataset.
        batch_size: Samples of a batch of one rank.
        rank: This process.
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
