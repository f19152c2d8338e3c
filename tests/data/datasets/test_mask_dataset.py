"""Data sets of very many files: what is kept of them, and how often they are asked about."""

import gc
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightseg.data import EpochSampler, MaskFolder
from lightseg.data.datasets import mask_dataset
from lightseg.data.sample_index import SampleIndex
from lightseg.errors import DataError
from tests.data import fabricate

COUNT = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images and masks, all of them two files under many names."""
    root = tmp_path_factory.mktemp("many")
    for kind, pixels in (("images", np.zeros((8, 8, 3), np.uint8)), ("masks", np.eye(8, dtype=np.uint8))):
        for index in range(COUNT):
            path = root / kind / f"{index // 1000:02d}" / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if index == 0:
                cv2.imwrite(str(path), pixels)
                first = path
            else:
                os.link(first, path)
    return root


@pytest.fixture
def data(folder):
    return MaskFolder(["a", "b"], root=str(folder), batch_size=8, num_workers=0)


def test_datasets__hold_names_in_arrays_alone(data):
    train = data.dataset("train")
    assert len(train) + len(data.dataset("val")) + len(data.dataset("test")) == COUNT
    gc.collect()
    long = [held for held in gc.get_objects() if type(held) in (list, dict, tuple) and len(held) > COUNT // 10]
    of_names = [
        held for held in long if any(isinstance(name, str) and name.endswith(".png") for name in list(held)[:3])
    ]
    assert of_names == []
    pairs = [held for held in gc.get_objects() if type(held).__name__ == "Pair"]
    assert len(pairs) < COUNT // 10


def test_datasets__look_up_every_file_once(data, monkeypatch):
    asked, stat, train = [], os.stat, data.dataset("train")

    def noting(path, **options):
        if "masks" in str(path) or "images" in str(path):
            asked.append(str(path))
        return stat(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", noting)
        for _ in range(2):
            train.cache_key()
            train.subset(np.arange(len(train) // 2)).cache_key()
    assert len(asked) == len(set(asked)) == 2 * len(train)


def test_datasets__are_looked_up_alike_on_a_disk_nearby_and_far_away(data, monkeypatch):
    near, far = data.dataset("train"), MaskFolder(["a", "b"], root=data.root).dataset("train")
    threads, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (threads.append(thread), start(thread)))
    monkeypatch.setattr(mask_dataset, "_FAR", 1.0)
    key = near.cache_key()
    assert not threads
    monkeypatch.setattr(mask_dataset, "_FAR", 0.0)
    assert far.cache_key() == key
    assert threads


def test_datasets__name_a_file_that_has_gone_once(tmp_path, monkeypatch):
    fabricate.folder(tmp_path / "mine", 20)
    monkeypatch.chdir(tmp_path)
    train = MaskFolder(["ground", "road"], root="mine").dataset("train")
    Path(train.root / train.name(3)).unlink()
    with pytest.raises(DataError, match=f"^{re.escape(f'mine/{train.name(3)}')}: cannot be read"):
        train.cache_key()
    shutil.rmtree("mine")
    with pytest.raises(DataError, match="^mine: cannot be read"):
        train.cache_key()


def test_datasets__subset_has_the_key_of_a_dataset_of_its_own(data, folder):
    train = data.dataset("train")
    indices = np.array([5, 3, 8])
    fresh = train.subset(indices)
    train.cache_key()
    known = train.subset(indices)
    assert known._looked_up is not None
    assert fresh._looked_up is None
    assert (known.cache_key(), known.fingerprint()) == (fresh.cache_key(), fresh.fingerprint())


def test_datasets__tell_of_a_change_when_they_are_asked_again(tmp_path):
    fabricate.folder(tmp_path, 200)
    train = MaskFolder(["ground", "road"], root=str(tmp_path)).dataset("train")
    first = train.fingerprint()
    # one whose content is not sampled
    with (tmp_path / train.name(1)).open("ab") as file:
        file.write(b"\0")
    assert train.fingerprint() != first


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
