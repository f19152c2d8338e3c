"""Sample indices with augmentation seeds, passed from samplers to datasets, and the derivation of seeds."""

from typing import NamedTuple

import numpy as np

PADDING = -1
"""Index of the padding of a rank's share at evaluation; the collate function drops it, so no sample counts twice."""


class SampleIndex(NamedTuple):
    """Index of a sample in its dataset, with the seed of its augmentation.

    Attributes:
        sample: The index.
        seed: The seed.
        partner: The sample that it is mixed with; None for no mixture.
        mixture: How they are mixed, five numbers of `Mixing.draw`.
    """

    sample: int
    seed: int
    partner: "SampleIndex | None" = None
    mixture: tuple[float, ...] = ()


def mix(*integers: int) -> int:
    """Hash integers to one 63-bit seed; neighboring inputs give unrelated seeds."""
    # two's complement of negative numbers, and all bits of a 63-bit seed
    entropy = [int(i) & 0xFFFFFFFFFFFFFFFF for i in integers]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
