"""Memory and `stat` calls of `FileDataset` with very many files."""

import gc
import os
import re
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightseg.data import MaskFolder
from lightseg.data.datasets import file_dataset
from lightseg.errors import DataError
from tests.data import fabricate

COUNT = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of images and masks that are hard links to two files."""
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


def test_file_dataset__holds_names_in_arrays_only(data):
    train = data.dataset("train")
    assert len(train) + len(data.dataset("val")) + len(data.dataset("test")) == COUNT
    gc.collect()
    collections = [item for item in gc.get_objects() if type(item) in (list, dict, tuple) and len(item) > COUNT // 10]
    name_collections = [
        item for item in collections if any(isinstance(name, str) and name.endswith(".png") for name in list(item)[:3])
    ]
    assert name_collections == []
    pairs = [item for item in gc.get_objects() if type(item).__name__ == "Pair"]
    assert len(pairs) < COUNT // 10


def test_file_dataset__stats_every_file_once(data, monkeypatch):
    paths, stat, train = [], os.stat, data.dataset("train")

    def recording_stat(path, **options):
        if "masks" in str(path) or "images" in str(path):
            paths.append(str(path))
        return stat(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", recording_stat)
        for _ in range(2):
            train.cache_key()
            train.subset(np.arange(len(train) // 2)).cache_key()
    assert len(paths) == len(set(paths)) == 2 * len(train)


def test_file_dataset__uses_threads_on_slow_storage_only(data, monkeypatch):
    near, far = data.dataset("train"), MaskFolder(["a", "b"], root=data.root).dataset("train")
    threads, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (threads.append(thread), start(thread)))
    monkeypatch.setattr(file_dataset, "_SLOW_STAT", 1.0)
    key = near.cache_key()
    assert not threads
    monkeypatch.setattr(file_dataset, "_SLOW_STAT", 0.0)
    assert far.cache_key() == key
    assert threads


def test_file_dataset__missing_file_is_named_once(tmp_path, monkeypatch):
    fabricate.folder(tmp_path / "mine", 20)
    monkeypatch.chdir(tmp_path)
    train = MaskFolder(["ground", "road"], root="mine").dataset("train")
    Path(train.root / train.name(3)).unlink()
    with pytest.raises(DataError, match=f"^{re.escape(f'mine/{train.name(3)}')}: cannot be read"):
        train.cache_key()
    shutil.rmtree("mine")
    with pytest.raises(DataError, match="^mine: cannot be read"):
        train.cache_key()


def test_file_dataset__subset_reuses_stats_and_keeps_its_key(data, folder):
    train = data.dataset("train")
    indices = np.array([5, 3, 8])
    fresh = train.subset(indices)
    train.cache_key()
    cached = train.subset(indices)
    assert cached._file_stats is not None
    assert fresh._file_stats is None
    assert (cached.cache_key(), cached.fingerprint()) == (fresh.cache_key(), fresh.fingerprint())


def test_file_dataset__second_fingerprint_follows_a_changed_file(tmp_path):
    fabricate.folder(tmp_path, 200)
    train = MaskFolder(["ground", "road"], root=str(tmp_path)).dataset("train")
    first = train.fingerprint()
    # a file whose content is not sampled
    with (tmp_path / train.name(1)).open("ab") as file:
        file.write(b"\0")
    assert train.fingerprint() != first
