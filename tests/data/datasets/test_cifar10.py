import hashlib
import io
import os
import pickle
import re
import tarfile
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightseg.data.datasets import cifar10_files as files
from lightseg.data.datasets.cifar10 import CIFAR10
from lightseg.data.datasets.long_tail import long_tail_counts
from lightseg.errors import ConfigError, DataError

PER_CLASS = {"train": 5, "test": 2}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---- fabricated sets -----------------------------------------------------------------------------------------------


def fabricate(per_class=PER_CLASS):
    """Return noise images by name: `{"train/cat/cat_3.png": (32, 32, 3) uint8}`."""
    rng = np.random.default_rng(0)
    return {
        f"{split}/{label}/{label}_{number}.png": rng.integers(0, 256, (32, 32, 3), np.uint8)
        for number in range(max(per_class.values()))
        for split in per_class
        for label in files.CLASSES
        if number < per_class[split]
    }


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_tree(root, images):
    for name, pixels in images.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(pixels))
    return root


def write_zip(root, images, name="pictures.zip", prefix=""):
    root.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(root / name, "w") as archive:
        for member, pixels in images.items():
            archive.writestr(prefix + member, png(pixels))
    return root


class _Python2Pickler(pickle._Pickler):
    """Pickler that writes byte strings as Python 2 did, which wrote the official batches."""

    def save_string(self, value):
        data = value.encode() if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # noqa: RUF012


def pickled(content):
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(content)
    # where numpy 1 kept the function
    return buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batches(images):
    """Return the six official files, pickled."""
    train = [name for name in images if name.startswith("train/")]
    parts = {f"data_batch_{number}": train[number - 1 :: 5] for number in range(1, 6)}
    parts["test_batch"] = [name for name in images if name.startswith("test/")]
    return {
        part: pickled(
            {
                "batch_label": part,
                "labels": [files.CLASSES.index(name.split("/")[1]) for name in names],
                "data": np.stack([images[name].transpose(2, 0, 1).reshape(-1) for name in names]),
                "filenames": [name.split("/")[2] for name in names],
            }
        )
        for part, names in parts.items()
    }


def write_batches(root, images):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for part, content in batches(images).items():
        (folder / part).write_bytes(content)
    return root


def write_archive(root, images, monkeypatch):
    root.mkdir(parents=True, exist_ok=True)
    path = root / files.ARCHIVE
    with tarfile.open(path, "w:gz") as tar:
        for part, content in batches(images).items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{part}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(files, "ARCHIVE_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    return root


def small(root, **options):
    return CIFAR10(**{"root": str(root), "val_size": 10, **options})


def contents(module, split):
    dataset = module.dataset(split)
    return {dataset.name(index): (dataset[index][0].tobytes(), dataset[index][1]) for index in range(len(dataset))}


# ---- layouts -------------------------------------------------------------------------------------------------------


def test_cifar10__same_samples_from_every_layout(tmp_path, monkeypatch):
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


def test_cifar10__sample_is_what_was_written(tmp_path):
    images = fabricate()
    module = small(write_batches(tmp_path / "batches", images))
    samples = contents(module, "train") | contents(module, "val") | contents(module, "test")
    assert samples == {name: (pixels.tobytes(), class_of(name)) for name, pixels in images.items()}


def class_of(name):
    return files.CLASSES.index(name.split("/")[1])


def test_cifar10__gray_and_jpeg_images_are_read(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate())
    (root / "train/cat/cat_0.png").unlink()
    Image.new("L", (32, 32), 77).save(root / "train/cat/gray.JPG")
    module = small(root)
    samples = contents(module, "train") | contents(module, "val")
    assert samples["train/cat/gray.JPG"] == (bytes([77]) * 3072, 3)


def test_cifar10__decoded_once(tmp_path, monkeypatch, cache):
    root = write_zip(tmp_path / "zip", fabricate())
    first = small(root).fingerprint()
    assert len(list(cache.glob("cifar10-*.npy"))) == 1
    monkeypatch.setattr(files.Image, "open", lambda *_: pytest.fail("decoded again"))
    assert small(root).fingerprint() == first


@pytest.mark.parametrize("write", [write_tree, write_zip])
def test_cifar10__changed_files_are_read_again(tmp_path, write):
    images = fabricate()
    first = small(write(tmp_path / "root", images)).fingerprint()
    images["test/dog/dog_0.png"] = np.zeros((32, 32, 3), np.uint8)
    second = small(write(tmp_path / "root", images)).fingerprint()
    assert [split for split in first if first[split] != second[split]] == ["test"]


def test_cifar10__damaged_cache_is_no_error(tmp_path, cache):
    root = write_tree(tmp_path / "tree", fabricate())
    first = small(root).fingerprint()
    (stored,) = cache.glob("cifar10-*.npy")
    stored.write_bytes(stored.read_bytes()[:1000])
    assert small(root).fingerprint() == first


def test_cifar10__unwritable_cache_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file" / "cache"))
    assert len(small(write_tree(tmp_path / "tree", fabricate())).dataset("train")) == 40


# ---- splits and counts ---------------------------------------------------------------------------------------------


def test_cifar10__split_is_disjoint_stratified_and_fixed(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate())
    first, second = small(root), small(root)
    train, val, test = (contents(first, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (40, 10, 20)
    assert not train.keys() & val.keys()
    assert first.class_counts("train").tolist() == [4] * 10
    assert first.class_counts("val").tolist() == [1] * 10
    assert first.class_counts("test").tolist() == [2] * 10
    assert val == contents(second, "val")
    assert val.keys() != contents(small(root, split_seed=1), "val").keys()


def test_cifar10__split_of_uneven_classes_is_proportional(tmp_path):
    images = fabricate({"train": 4, "test": 1})
    uneven = {name: pixels for name, pixels in images.items() if not re.match("train/cat/cat_[123]", name)}
    module = small(write_tree(tmp_path / "tree", uneven), val_size=9)
    # 37 training samples for 9 places: 9 · 1/37 = .24 for the cat, 9 · 4/37 = .97 for each of the nine others
    assert module.class_counts("val").tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert module.class_counts("train").tolist() == [3, 3, 3, 1, 3, 3, 3, 3, 3, 3]


def test_cifar10__counts_are_those_of_the_samples(tmp_path):
    module = small(write_tree(tmp_path / "tree", fabricate()), imbalance_ratio=4.0)
    dataset = module.dataset("train")
    targets = [dataset[index][1] for index in range(len(dataset))]
    assert module.class_counts("train").tolist() == np.bincount(targets, minlength=10).tolist()
    assert module.class_table("train").tolist() == np.eye(10, dtype=int)[targets].tolist()


def test_cifar10__long_tail_of_the_real_size():
    # 4500 · 100^(-c/9), worked out by hand for the first, the last and one between: 4500 / 100^(1/3) = 969.49
    assert long_tail_counts(4500, 10, 100.0).tolist() == [4500, 2697, 1617, 969, 581, 348, 208, 125, 75, 45]
    # the published counts of CIFAR-10-LT, ratio 100 and 10, from all 5000 of a class
    assert long_tail_counts(5000, 10, 100.0).tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert long_tail_counts(5000, 10, 10.0).tolist() == [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]


def test_cifar10__long_tail_thins_train_alone(tmp_path):
    root = write_tree(tmp_path / "tree", fabricate({"train": 9, "test": 2}))
    full, tailed, more = (small(root, imbalance_ratio=ratio) for ratio in (1.0, 8.0, 64.0))
    # 8 of each class remain for training; 8 · 8^(-c/9) rounded down, 8 / 8^(1/3) = 4 exactly
    assert tailed.class_counts("train").tolist() == [8, 6, 5, 4, 3, 2, 2, 1, 1, 1]
    assert contents(tailed, "val") == contents(full, "val")
    assert contents(tailed, "test") == contents(full, "test")
    assert contents(more, "train").keys() < contents(tailed, "train").keys() < contents(full, "train").keys()


# ---- what may be wrong ---------------------------------------------------------------------------------------------


def test_cifar10__missing_data_names_the_layouts(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no CIFAR-10 .* cifar-10-batches-py/, cifar-10-python.tar.gz"):
        small(tmp_path / "nowhere").dataset("train")


def test_cifar10__missing_class_folder(tmp_path):
    images = {name: pixels for name, pixels in fabricate().items() if not name.startswith("test/frog/")}
    for root in (write_tree(tmp_path / "tree", images), write_zip(tmp_path / "zip", images)):
        with pytest.raises(DataError, match="no images in test/frog"):
            small(root).dataset("train")


def test_cifar10__unknown_class_folder(tmp_path):
    images = fabricate() | {"train/plane/0.png": np.zeros((32, 32, 3), np.uint8)}
    with pytest.raises(DataError, match="train/plane: no class of CIFAR-10"):
        small(write_tree(tmp_path / "tree", images)).dataset("train")


def test_cifar10__broken_image_is_named(tmp_path):
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
def test_cifar10__zip_that_python_cannot_unpack_is_named(tmp_path, place, value):
    path = write_zip(tmp_path / "zip", fabricate()) / "pictures.zip"
    content = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", bytes(content)):
        content[entry.start() + place] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"pictures\.zip: .*cannot be read as an? "):
        small(tmp_path / "zip").dataset("train")


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), os.mkfifo])
def test_cifar10__special_file_among_images_is_named(tmp_path, make):
    root = write_tree(tmp_path / "tree", fabricate())
    make(root / "train/ship/odd.png")
    with pytest.raises(DataError, match=r"ship/odd\.png: (cannot be read: No such|is not a regular)"):
        small(root).dataset("train")


def test_cifar10__image_of_another_size_is_named(tmp_path):
    images = fabricate() | {"train/ship/large.png": np.zeros((64, 48, 3), np.uint8)}
    with pytest.raises(DataError, match=r"large\.png: 48×64 pixels instead of 32×32"):
        small(write_tree(tmp_path / "tree", images)).dataset("train")


def test_cifar10__two_zips(tmp_path):
    write_zip(tmp_path / "zips", fabricate(), "a.zip")
    with pytest.raises(DataError, match=r"a\.zip and b\.zip both"):
        small(write_zip(tmp_path / "zips", fabricate(), "b.zip")).dataset("train")


def test_cifar10__corrupted_archive(tmp_path, monkeypatch):
    root = write_archive(tmp_path / "archive", fabricate(), monkeypatch)
    content = bytearray((root / files.ARCHIVE).read_bytes())
    content[len(content) // 2] ^= 1
    (root / files.ARCHIVE).write_bytes(content)
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: damaged or incomplete.*download it again"):
        small(root).dataset("train")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"data": 1}), pickle.dumps([1])])
def test_cifar10__broken_batch_is_named(tmp_path, content):
    root = write_batches(tmp_path / "batches", fabricate())
    (root / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match="data_batch_3: not a batch of CIFAR-10"):
        small(root).dataset("train")


def test_cifar10__missing_batch_is_named(tmp_path):
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


def test_cifar10__malicious_pickle_is_refused_and_runs_nothing(tmp_path):
    root, trace = write_batches(tmp_path / "batches", fabricate()), tmp_path / "trace"
    pickle.loads(pickle.dumps(_Touch(trace)))
    assert trace.exists(), "the pickle must be one that would run"
    trace.unlink()
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({b"data": _Touch(trace)}))
    with pytest.raises(DataError, match="data_batch_1: not a batch of CIFAR-10: it asks to run"):
        small(root).dataset("train")
    assert not trace.exists()


@pytest.mark.parametrize("val_size", [50, 51])
def test_cifar10__val_size_leaves_nothing(tmp_path, val_size):
    module = small(write_tree(tmp_path / "tree", fabricate()), val_size=val_size)
    with pytest.raises(ConfigError, match=f"data.val_size: {val_size} leaves none of the 50"):
        module.dataset("train")


@pytest.mark.parametrize("options", [{"val_size": 0}, {"imbalance_ratio": 0.5}])
def test_cifar10__value_out_of_range(options):
    with pytest.raises(ConfigError):
        CIFAR10(**options)


# ---- download ------------------------------------------------------------------------------------------------------


def test_cifar10__download_without_network_says_what_to_do(tmp_path, monkeypatch):
    def offline(*_args, **_options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(files, "download_url", offline)
    with pytest.raises(DataError, match=r"no route to host.*put cifar-10-python\.tar\.gz .*c58f30108f718f92721af3b95e"):
        small(tmp_path / "empty", download=True).prepare_data()


def test_cifar10__download_is_checked_and_used(tmp_path, monkeypatch):
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


def test_cifar10__nothing_is_downloaded_where_the_set_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "download_url", lambda *_args, **_options: pytest.fail("downloaded"))
    small(write_tree(tmp_path / "tree", fabricate()), download=True).prepare_data()


# ---- as a data module ----------------------------------------------------------------------------------------------


def test_cifar10__batches(tmp_path):
    module = small(write_tree(tmp_path / "tree", fabricate()), batch_size=8, num_workers=0)
    batch = next(iter(module.train_dataloader()))
    assert batch["image"].shape == (8, 3, 32, 32)
    assert batch["target"].shape == (8,)
    assert sum(len(part["target"]) for parts in module.val_dataloader() for part in parts) == 10
    assert len(module.classes) == 10
    assert module.kind == "classification"
