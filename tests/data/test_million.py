"""Memory of the sampler and of loading processes for datasets of very many files."""

import subprocess
import sys

import numpy as np

from lightseg.data import EpochSampler
from lightseg.data.sample_index import SampleIndex

COUNT = 20_000


def test_order__is_an_array_and_gives_plain_numbers():
    sampler = EpochSampler(COUNT, 8)
    assert isinstance(sampler._order(), np.ndarray)
    position = next(iter(sampler))
    assert type(position) is SampleIndex
    assert type(position.sample) is int


WORKER = """
import gc, sys
from lightseg.data.loading.collate import start_worker

start_worker(0)
sys.exit(0 if gc.get_freeze_count() > 1000 else 3)
"""


def test_worker__does_not_search_what_it_shares_for_garbage():
    assert subprocess.run([sys.executable, "-c", WORKER], check=False).returncode == 0
