"""Sample indices with their seeds, as samplers hand them to datasets, and the hash that makes seeds."""

from typing import NamedTuple

import numpy as np

PADDING = -1
"""The index that fills up a rank's share at evaluation; the collate function drops it, so nothing counts twice."""


class SampleIndex(NamedTuple):
    """Sample's index together with the seed of its augmentation."""

    sample: int
    seed: int


def mix(*integers: int) -> int:
    """Hash integers to one 63-bit seed; neighbouring inputs give unrelated seeds."""
    # all of a seed of 63 bits, and two's complement of what is negative
    entropy = [int(i) & 0xFFFFFFFFFFFFFFFF for i in integers]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
