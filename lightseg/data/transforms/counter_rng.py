"""Counter-based random numbers in bulk: any of them at once, from where it stands alone, equal on every device.

A generator with a state that is carried along gives a sample other numbers as soon as the batches are cut in another
way. Here a number is a function of (seed, epoch, position, number of the draw), in integer tensor operations.
"""

from dataclasses import dataclass

from torch import Tensor

from lightseg.data.sample_index import mix

# as two's complement: torch has no unsigned arithmetic, and its signed one wraps around
_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64

_POSITION, _SAMPLE = 11, 12


def splitmix(state: Tensor, number: Tensor | int) -> Tensor:
    """Some output of the SplitMix64 generator, without those before it.

    Args:
        state: The seed of the generator, int64 of any shape, as two's complement.
        number: Which of its outputs, from 0 on; a number, or int64 of a shape that fits.

    Returns:
        64 random bits each, as int64.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figures 16 and 17 with the
    constants of `java.util.SplittableRandom`.
    """
    bits = state + (number + 1) * _GAMMA if isinstance(number, Tensor) else state + _wrapped((number + 1) * _GAMMA)
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def below(state: Tensor, limit: int, number: int) -> Tensor:
    """Whole numbers from 0 to below `limit`, one of each generator.

    Args:
        state: As in `splitmix`.
        limit: 1 to 2**31; some numbers are more likely than others by at most `limit` / 2**32.
        number: As in `splitmix`.

    Source: Lemire 2019, "Fast random integer generation in an interval", section 4, without the rejection.
    """
    return _shifted(splitmix(state, number), 32) * limit >> 32


@dataclass(frozen=True)
class Draws:
    """Random numbers of some training samples.

    Attributes:
        epoch: Number of the epoch, from 0 on.
        positions: A generator for each sample that depends on the seed, the epoch and its position there, `(N,)` int64.
        samples: One that depends on the seed and on which sample it is, alike in all epochs, `(N,)` int64.
    """

    epoch: int
    positions: Tensor
    samples: Tensor

    @classmethod
    def of(cls, seed: int, epoch: int, positions: Tensor, samples: Tensor) -> "Draws":
        """Those of some positions of an epoch, and of the samples that are there, both `(N,)` int64."""
        # filled in there: a number that is copied to a device waits for all that is queued
        of_epoch, of_run = positions.new_full((), mix(seed, epoch, _POSITION)), samples.new_full((), mix(seed, _SAMPLE))
        return cls(epoch, splitmix(of_epoch, positions), splitmix(of_run, samples))

    def branch(self, number: int) -> "Draws":
        """Generators of their own for whoever has this number, which know nothing of the others'."""
        return Draws(self.epoch, splitmix(self.positions, number), splitmix(self.samples, number))


def _shifted(bits: Tensor, places: int) -> Tensor:
    """Shift to the right; zeros come in, where `>>` lets the sign in."""
    return bits >> places & (1 << 64 - places) - 1


def _wrapped(number: int) -> int:
    """Two's complement of a whole number in 64 bits."""
    return (number + 2**63) % 2**64 - 2**63
