"""Layouts of CIFAR-10 on disk, and what may be wrong with them."""

import os
import pickle
import re
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightseg.data.datasets import cifar10_files as files
from lightseg.errors import DataError
from tests.data.datasets.cifar10_layouts import (
    class_of,
    contents,
    fabricate,
    small,
    write_archive,
    write_batches,
    write_tree,
    write_zip,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_files__same_samples_from_every_layout(tmp_path, monkeypatch):
    images = fabricate()
    roots = [
        write_tree(tmp_path / "tree", images),
        write_zip(tmp_path / "zip", images),
        write_zip(tmp_path / "nested", images, prefix="cifar10/"),
        write_batches(tmp_path / "batches", images),
        write_archive(tmp_path / "archive", images, monkeypatch),
        # the file or folder itself instead of the one that holds it
        tmp_path / "zip" / "pictures.zip",
        tmp_path / "batches" / "cifar-10-batches-py",
        tmp_path / "archive" / files.ARCHIVE,
    ]
    modules = [small(root) for root in roots]
    assert [module.fingerprint() for module in modules] == [modules[0].fingerprint()] * len(roots)
    for split in ("train", "val", "test"):
        assert all(list(contents(module, split)) == list(contents(modules[0], split)) for module in modules)


def test_files__sample_is_what_was_written(tmp_path):
    images = fabricate()
    module = small(write_batches(tmp_path / "batches", images))
    samples = contents(module, "train") | contents(module, "val") | contents(module, "test")
    assert samples == {name: (pixels.tobytes(), class_of(name)) for name, pixels in images.items()}


def test_files__gray_and_jpeg_images_are_read(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate())
    (root / "train/cat/cat_0.png").unlink()
    Image.new("L", (32, 32), 77).save(root / "train/cat/gray.JPG")
    module = small(root)
    samples = contents(module, "train") | contents(module, "val")
    assert samples["train/cat/gray.JPG"] == (bytes([77]) * 3072, 3)


def test_files__decoded_once(tmp_path, monkeypatch, cache):
    root = write_zip(tmp_path / "zip", fabricate())
    first = small(root).fingerprint()
    assert len(list(cache.glob("cifar10-*.npy"))) == 1
    monkeypatch.setattr(files.Image, "open", lambda *_: pytest.fail("decoded again"))
    assert small(root).fingerprint() == first


@pytest.mark.parametrize("write", [write_tree, write_zip])
def test_files__changed_files_are_read_again(tmp_path, write):
    images = fabricate()
    first = small(write(tmp_path / "root", images)).fingerprint()
    images["test/dog/dog_0.png"] = np.zeros((32, 32, 3), np.uint8)
    second = small(write(tmp_path / "root", images)).fingerprint()
    assert [split for split in first if first[split] != second[split]] == ["test"]


def test_files__damaged_cache_is_no_error(tmp_path, cache):
    root = write_tree(tmp_path / "tree", fabricate())
    first = small(root).fingerprint()
    (stored,) = cache.glob("cifar10-*.npy")
    stored.write_bytes(stored.read_bytes()[:1000])
    assert small(root).fingerprint() == first


def test_files__unwritable_cache_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file" / "cache"))
    assert len(small(write_tree(tmp_path / "tree", fabricate())).dataset("train")) == 40


def test_files__missing_data_names_the_layouts(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no CIFAR-10 .* cifar-10-batches-py/, cifar-10-python.tar.gz"):
        small(tmp_path / "nowhere").dataset("train")


def test_files__missing_class_folder(tmp_path):
    images = {name: pixels for name, pixels in fabricate().items() if not name.startswith("test/frog/")}
    for root in (write_tree(tmp_path / "tree", images), write_zip(tmp_path / "zip", images)):
        with pytest.raises(DataError, match="no images in test/frog"):
            small(root).dataset("train")


def test_files__unknown_class_folder(tmp_path):
    images = fabricate() | {"train/plane/0.png": np.zeros((32, 32, 3), np.uint8)}
    with pytest.raises(DataError, match="train/plane: no class of CIFAR-10"):
        small(write_tree(tmp_path / "tree", images)).dataset("train")


def test_files__broken_image_is_named(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate())
    content = (root / "train/ship/ship_1.png").read_bytes()
    (root / "train/ship/ship_1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"ship_1\.png: cannot be read as an image"):
        small(root).dataset("train")


@pytest.mark.parametrize(
    ("place", "value"),
    [(6, 99), (8, 1), (10, 99), (10, 8), (10, 14)],
    ids=["of another version", "encrypted", "another method", "deflated", "LZMA"],
)
def test_files__zip_that_python_cannot_unpack_is_named(tmp_path, place, value):
    path = write_zip(tmp_path / "zip", fabricate()) / "pictures.zip"
    content = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", bytes(content)):
        content[entry.start() + place] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"pictures\.zip: .*cannot be read as an? "):
        small(tmp_path / "zip").dataset("train")


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), os.mkfifo])
def test_files__special_file_among_images_is_named(tmp_path, make):
    root = write_tree(tmp_path / "tree", fabricate())
    make(root / "train/ship/odd.png")
    with pytest.raises(DataError, match=r"ship/odd\.png: (cannot be read: No such|is not a regular)"):
        small(root).dataset("train")


def test_files__image_of_another_size_is_named(tmp_path):
    images = fabricate() | {"train/ship/large.png": np.zeros((64, 48, 3), np.uint8)}
    with pytest.raises(DataError, match=r"large\.png: 48×64 pixels instead of 32×32"):
        small(write_tree(tmp_path / "tree", images)).dataset("train")


def test_files__two_zips(tmp_path):
    write_zip(tmp_path / "zips", fabricate(), "a.zip")
    with pytest.raises(DataError, match=r"a\.zip and b\.zip both"):
        small(write_zip(tmp_path / "zips", fabricate(), "b.zip")).dataset("train")


def test_files__corrupted_archive(tmp_path, monkeypatch):
    root = write_archive(tmp_path / "archive", fabricate(), monkeypatch)
    content = bytearray((root / files.ARCHIVE).read_bytes())
    content[len(content) // 2] ^= 1
    (root / files.ARCHIVE).write_bytes(content)
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: damaged or incomplete.*download it again"):
        small(root).dataset("train")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"data": 1}), pickle.dumps([1])])
def test_files__broken_batch_is_named(tmp_path, content):
    root = write_batches(tmp_path / "batches", fabricate())
    (root / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match="data_batch_3: not a batch of CIFAR-10"):
        small(root).dataset("train")


def test_files__missing_batch_is_named(tmp_path):
    root = write_batches(tmp_path / "batches", fabricate())
    (root / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch: cannot be read"):
        small(root).dataset("train")


class _Touch:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_files__malicious_pickle_is_refused_and_runs_nothing(tmp_path):
    root, trace = write_batches(tmp_path / "batches", fabricate()), tmp_path / "trace"
    pickle.loads(pickle.dumps(_Touch(trace)))
    assert trace.exists(), "the pickle must be one that would run"
    trace.unlink()
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({b"data": _Touch(trace)}))
    with pytest.raises(DataError, match="data_batch_1: not a batch of CIFAR-10: it asks to run"):
        small(root).dataset("train")
    assert not trace.exists()


def test_files__download_without_network_says_what_to_do(tmp_path, monkeypatch):
    def offline(*_args, **_options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(files, "download_url", offline)
    with pytest.raises(DataError, match=r"no route to host.*put cifar-10-python\.tar\.gz .*c58f30108f718f92721af3b95e"):
        small(tmp_path / "empty", download=True).prepare_data()


def test_files__download_is_checked_and_used(tmp_path, monkeypatch):
    write_archive(tmp_path / "server", fabricate(), monkeypatch)
    requests = []

    def fetch(url, root, md5):
        requests.append((url, md5))
        Path(root).mkdir(exist_ok=True)
        (tmp_path / "server" / files.ARCHIVE).rename(Path(root) / files.ARCHIVE)

    monkeypatch.setattr(files, "download_url", fetch)
    module = small(tmp_path / "new", download=True)
    module.prepare_data()
    assert requests == [(files.URL, files.ARCHIVE_MD5)]
    assert len(module.dataset("train")) == 40


def test_files__nothing_is_downloaded_where_the_set_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "download_url", lambda *_args, **_options: pytest.fail("downloaded"))
    small(write_tree(tmp_path / "tree", fabricate()), download=True).prepare_data()
