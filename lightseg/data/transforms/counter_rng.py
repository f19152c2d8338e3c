"""Vectorized counter-based random numbers, the same on every device.

The random numbers of a sample from a sequential generator depend on how samples are divided into batches. Here a number
is a function of (seed, epoch, position, index of the draw), computed by integer tensor operations.
"""

from dataclasses import dataclass

from torch import Tensor

from lightseg.data.sample_index import mix

# in two's complement, since torch has no unsigned arithmetic and its signed arithmetic wraps around
_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64

_POSITION, _SAMPLE = 11, 12
"""Salts of the seeds of the two kinds of generators."""


def splitmix(state: Tensor, index: Tensor | int) -> Tensor:
    """Return an output of SplitMix64 generators by its index.

    Args:
        state: Seeds of the generators, int64 of any shape, in two's complement.
        index: Index of the output, from 0; a number, or int64 of a broadcastable shape.

    Returns:
        64 random bits each, int64 of the broadcast shape.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figures 16 and 17 with the
    constants of `java.util.SplittableRandom`.
    """
    offset = (index + 1) * _GAMMA
    bits = state + (offset if isinstance(offset, Tensor) else _wrap(offset))
    bits = (bits ^ _shift_right(bits, 30)) * _FIRST
    bits = (bits ^ _shift_right(bits, 27)) * _SECOND
    return bits ^ _shift_right(bits, 31)


def below(state: Tensor, limit: int, index: int) -> Tensor:
    """Return a random integer in [0, limit) of each generator.

    Args:
        state: Seeds of the generators; see `splitmix`.
        limit: 1 to 2**31; the probabilities of two numbers differ by a factor of at most 1 + `limit` / 2**32.
        index: Index of the output; see `splitmix`.

    Returns:
        Integers, int64 of the shape of `state`.

    Source: Lemire 2019, "Fast random integer generation in an interval", section 4, without the rejection.
    """
    return _shift_right(splitmix(state, index), 32) * limit >> 32


@dataclass(frozen=True)
class Draws:
    """Random generators of the samples of a batch, as seeds for `splitmix`.

    Attributes:
        epoch: Index of the epoch, from 0.
        positions: Seeds that depend on the run's seed, the epoch and the position in it, `(N,)` int64.
        samples: Seeds that depend on the run's seed and the sample, the same in all epochs, `(N,)` int64.
    """

    epoch: int
    positions: Tensor
    samples: Tensor

    @classmethod
    def of(cls, seed: int, epoch: int, positions: Tensor, samples: Tensor) -> "Draws":
        """Return the generators of samples at positions of an epoch, both `(N,)` int64."""
        # created on the device, since copying a number to it would synchronize
        of_epoch, of_run = positions.new_full((), mix(seed, epoch, _POSITION)), samples.new_full((), mix(seed, _SAMPLE))
        return cls(epoch, splitmix(of_epoch, positions), splitmix(of_run, samples))

    def branch(self, index: int) -> "Draws":
        """Return generators that are independent of those of other branches."""
        return Draws(self.epoch, splitmix(self.positions, index), splitmix(self.samples, index))


def _shift_right(bits: Tensor, places: int) -> Tensor:
    """Shift to the right and fill with zeros, while `>>` fills with the sign."""
    return bits >> places & (1 << 64 - places) - 1


def _wrap(number: int) -> int:
    """Reduce an integer to 64 bits in two's complement."""
    return (number + 2**63) % 2**64 - 2**63
