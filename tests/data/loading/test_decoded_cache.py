"""Samples out of the cache are those of the files, to the bit; and nothing that happens to it stops a training."""

import contextlib
import hashlib
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import albumentations as A
import numpy as np
import pytest
import torch
import xxhash

from lightseg.data import CIFAR10, ImageDataset, MaskFolder, OxfordPet, Shapes
from lightseg.data import dataset as dataset_module
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.loading import decoded_cache
from lightseg.data.loading.decoded_cache import DecodedDataset, is_multi_epoch
from lightseg.errors import ConfigError, DataError
from lightseg.files.atomic import file_lock
from lightseg.files.disk_cache import cache_dir
from tests.data import fabricate
from tests.helpers.dying_worker import DYING_WORKER_RECIPE, dying_worker_source
from tests.helpers.processes import wait_until
from tests.helpers.small_disk import run_on_small_disk
from tests.helpers.stateful_run import STATEFUL_RECIPE, assert_same_run, hash_training_state, read_logged_values

FORK = multiprocessing.get_context("fork")
CLASSES = ["ground", "road", "car"]
CROPS = [A.RandomCrop(8, 8), A.D4(), A.RandomBrightnessContrast(p=0.5)]


class Own(ImageDataset):
    """Samples of any kind, which says when it is read."""

    decodes = True

    def __init__(self, samples, key="own"):
        self.samples, self.key, self.read = samples, key, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.read.append(index)
        image, target = self.samples[index]
        return image.copy(), target.copy() if isinstance(target, np.ndarray) else target

    def name(self, index):
        return f"sample {index}"

    def fingerprint(self):
        return self.key


def image(index, height=6, width=7, channels=3, dtype=np.uint8):
    values = np.random.default_rng(index).integers(0, 256, (height, width, channels))
    return (values / 255).astype(dtype) if dtype == np.float32 else values.astype(dtype)


def mask(index, height=6, width=7):
    return np.random.default_rng(index).integers(0, 3, (height, width)).astype(np.uint8)


def cached(*datasets, gigabytes=1.0, workers=0, build=True):
    return decoded_cache.map_decoded(datasets, gigabytes, workers, build)


def entries():
    """Return the files in the cache."""
    return sorted(path.name for path in (cache_dir() / "decoded").glob("*/"))


def assert_equal(samples, others):
    for (pixels, target), (expected_pixels, expected) in zip(samples, others, strict=True):
        assert type(target) is type(expected)
        for array, expected_array in ((pixels, expected_pixels), (np.asarray(target), np.asarray(expected))):
            assert array.dtype == expected_array.dtype
            assert np.array_equal(array, expected_array)


@pytest.fixture
def folders(tmp_path):
    """Images and masks of the three splits; the first one is not like the others."""
    for number, split in enumerate(("train", "val", "test")):
        fabricate.folder(tmp_path / "data" / split, 12, values=(0, 1, 2, 255), first=20 * number)
    fabricate.save(tmp_path / "data/train/images/0.png", fabricate.picture(0, 30, 20))
    fabricate.save(tmp_path / "data/train/masks/0.png", fabricate.ids(0, 30, 20, values=(0, 1, 2)))
    return tmp_path / "data"


# ---- the samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_decoded__equals_the_original(workers):
    kinds = [
        (image(0), mask(0)),
        (image(1, 1, 9, 4, np.float32), mask(1, 1, 9)),
        (image(2, 30, 5, 1), 7),
        (image(3), mask(3).astype(np.int64)),
        (np.asfortranarray(image(4)), mask(4)[::-1]),
    ]
    plain = Own(kinds * 3)
    (quick,) = cached(plain, workers=workers)
    assert isinstance(quick, DecodedDataset)
    assert len(quick) == 15
    assert_equal([quick[i] for i in range(15)], plain.samples)


def test_decoded__samples_may_be_written_to():
    (quick,) = cached(Own([(image(0), mask(0))]))
    for part in quick[0]:
        part[:] = 9
    assert_equal([quick[0]], [(image(0), mask(0))])


def test_decoded__is_the_dataset_in_all_else(folders):
    plain = MaskFolder(CLASSES, root=str(folders)).dataset("train")
    (quick,) = cached(plain)
    rows = np.array([7, 0, 3])
    for decoded, original in ((quick, plain), (quick.subset(rows), plain.subset(rows))):
        assert isinstance(decoded, DecodedDataset)
        assert decoded.fingerprint() == original.fingerprint()
        assert decoded.cache_key() == original.cache_key()
        assert [decoded.name(i) for i in range(len(decoded))] == [original.name(i) for i in range(len(original))]
        assert decoded.class_table(3).tolist() == original.class_table(3).tolist()
        assert_equal([decoded[i] for i in range(len(decoded))], [original[i] for i in range(len(original))])


def test_decoded__travels_to_another_process_without_its_pixels():
    plain = Own([(image(i, 100, 100), mask(i)) for i in range(4)])
    (quick,) = cached(plain)
    plain.samples = plain.samples[:0] + [(image(i), 0) for i in range(4)]
    content = pickle.dumps(quick.subset(np.array([2, 1])))
    assert len(content) < 5000
    assert_equal([pickle.loads(content)[0]], [(image(2, 100, 100), mask(2))])
    # what has been removed meanwhile is read again
    shutil.rmtree(cache_dir())
    assert_equal([pickle.loads(content)[0]], [(image(2), 0)])
    assert_equal([quick[3]], [(image(3, 100, 100), mask(3))])


def stream(data):
    """Return a hash of two epochs of training samples, and of the validation samples."""
    digest, loader = hashlib.sha256(), data.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for name, part in sorted(batch.items()):
                digest.update(f"{name} {part.dtype} {tuple(part.shape)}".encode() + part.numpy().tobytes())
    for batches in data.val_dataloader():
        for batch in batches:
            digest.update(batch["image"].numpy().tobytes() + batch["target"].numpy().tobytes())
    return digest.hexdigest()


CURES = {"sampling": "square_root", "copy_paste": 0.7, "rare_classes": ["car"], "rare_transforms": [A.Transpose()]}
STREAMS = {
    "folder": lambda root: MaskFolder(CLASSES, root=str(root), train_transforms=CROPS, batch_size=4),
    "rare": lambda root: MaskFolder(CLASSES, root=str(root), train_transforms=CROPS, batch_size=4, **CURES),
    "folds": lambda root: MaskFolder(CLASSES, root=str(root), train_transforms=CROPS, batch_size=4, folds=3, fold=1),
    "sizes": lambda root: OxfordPet(str(fabricate.oxford_pet(root)), train_transforms=CROPS, batch_size=2),
    "painted": lambda _root: Shapes(image_size=16, train_size=8, batch_size=4, train_transforms=CROPS),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_stream__is_the_same_with_the_cache_and_without(folders, kind):
    hashes = set()
    for workers, cached_too in ((0, False), (0, True), (2, True), (2, False)):
        data = STREAMS[kind](folders)
        data.num_workers = workers
        if cached_too:
            state = torch.get_rng_state()
            data.decode()
            assert torch.equal(torch.get_rng_state(), state)
            decoded_parts = [part for part in data._parts.values() if isinstance(part, DecodedDataset)]
            assert len(decoded_parts) == (0 if kind == "painted" else 2)
        hashes.add(stream(data))
    assert len(hashes) == 1


def test_folds__share_one_cache(folders):
    for fold in range(3):
        MaskFolder(CLASSES, root=str(folders), folds=3, fold=fold, num_workers=0).decode()
    assert len(entries()) == 2


# ---- what is decoded, and when --------------------------------------------------------------------------------------


def test_decoded__is_read_once():
    plain = Own([(image(i), mask(i)) for i in range(20)])
    (first,) = cached(plain)
    plain.read.clear()
    (second,) = cached(plain)
    assert_equal([first[5]], [second[5]])
    assert plain.read == []


def test_decoded__only_datasets_that_declare_it():
    class Derived(MaskDataset):
        """Reads what it likes."""

    derived = Derived(".", [], None)
    derived._images = derived._masks = np.array(["a.png"])
    assert cached(derived) == [derived]
    assert "decodes" not in vars(type(CIFAR10))
    data = Shapes(train_size=4, num_workers=0)
    before = data.dataset("train")
    data.decode()
    assert data.dataset("train") is before
    assert entries() == []


def test_decoded__another_key_or_another_decoder_is_another_entry(monkeypatch):
    samples = [(image(0), mask(0))]
    cached(Own(samples, "a"), Own(samples, "b"))
    assert len(entries()) == 2
    monkeypatch.setattr(dataset_module, "_decoder_versions", lambda: ("another 1.0",))
    cached(Own(samples, "a"))
    assert len(entries()) == 3
    monkeypatch.setattr(dataset_module, "source_digest", lambda *_: "another")
    cached(Own(samples, "a"))
    assert len(entries()) == 4


def test_decoded__of_a_changed_file_is_the_new_one(folders):
    data = MaskFolder(CLASSES, root=str(folders), num_workers=0)
    data.decode()
    old = data.dataset("train")[3][0]
    fabricate.save(folders / "train/images" / Path(data.dataset("train").name(3)).name, 255 - old)
    changed = MaskFolder(CLASSES, root=str(folders), num_workers=0)
    changed.decode()
    assert isinstance(changed.dataset("train"), DecodedDataset)
    assert np.array_equal(changed.dataset("train")[3][0], 255 - old)


def test_decoded__of_a_changed_file_of_the_old_size_and_time_is_the_new_one(tmp_path):
    for part, shape in (("images", (8, 8, 3)), ("masks", (8, 8))):
        (tmp_path / part).mkdir()
        for number in range(8):
            np.save(tmp_path / part / f"{number}.npy", np.ones(shape, np.uint8))
    options = {"root": str(tmp_path), "num_workers": 0}
    MaskFolder(CLASSES, **options).decode()
    for file in (tmp_path / "images").iterdir():
        before = file.stat()
        np.save(file, np.zeros((8, 8, 3), np.uint8))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert file.stat().st_size == before.st_size
    changed = MaskFolder(CLASSES, **options)
    changed.decode()
    assert isinstance(changed.dataset("train"), DecodedDataset)
    assert not changed.dataset("train")[0][0].any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_epochs": 2}, True),
        ({"max_epochs": 1}, False),
        ({"max_epochs": None}, True),
        ({"max_epochs": -1}, True),
        ({"max_epochs": -1, "max_steps": 49}, False),
        ({"max_epochs": -1, "max_steps": 50}, True),
        ({"max_epochs": 9, "max_steps": 3}, False),
        ({"max_epochs": 9, "fast_dev_run": True}, False),
        ({"max_epochs": 9, "overfit_batches": 2}, False),
        ({"max_epochs": 9, "limit_train_batches": 5}, False),
    ],
)
def test_is_multi_epoch(options, expected):
    defaults = {"max_steps": -1, "fast_dev_run": False, "overfit_batches": 0.0, "limit_train_batches": 1.0}
    assert is_multi_epoch(SimpleNamespace(**defaults | options), 100, 4) is expected


def test_decoded__existing_cache_is_used_without_build():
    plain = Own([(image(0), mask(0))])
    assert cached(plain, build=False) == [plain]
    assert not cache_dir().exists()
    cached(plain)
    assert isinstance(cached(plain, build=False)[0], DecodedDataset)


# ---- its size -------------------------------------------------------------------------------------------------------

GIB = 2**30
SIZE = 20 * (100 * 100 * 4 + decoded_cache._RECORD.itemsize)


def large(key):
    return Own([(image(i, 100, 100), mask(i, 100, 100)) for i in range(20)], key)


def age(minutes):
    """Let all that is there have been used that much earlier."""
    for entry in (cache_dir() / "decoded").glob("*/"):
        used = entry.stat().st_mtime - 60 * minutes
        os.utime(entry, (used, used))


def test_size__least_recently_used_cache_is_removed():
    room = 2.5 * SIZE / GIB
    for key in "ab":
        age(1)
        cached(large(key), gigabytes=room)
    age(1)
    # used again
    cached(large("a"), gigabytes=room)
    (mapped,) = cached(large("b"), build=False)
    age(1)
    cached(large("a"), gigabytes=room)
    cached(large("c"), gigabytes=room)
    assert [isinstance(*cached(large(key), build=False), DecodedDataset) for key in "abc"] == [True, False, True]
    # what a training still reads is there for it
    assert_equal([mapped[7]], [large("b").samples[7]])


def test_size__splits_of_one_training_do_not_evict_each_other(capsys):
    datasets = cached(large("a"), large("b"), gigabytes=1.5 * SIZE / GIB)
    assert [isinstance(part, DecodedDataset) for part in datasets] == [True, False]
    assert re.search(r"^warning: .*20 decoded samples take 0.0\d+ GiB, and there is room for", capsys.readouterr().err)


def test_size__too_large_is_not_built_and_evicts_nothing(capsys):
    cached(large("a"))
    assert not isinstance(*cached(large("b"), gigabytes=0.5 * SIZE / GIB), DecodedDataset)
    assert len(entries()) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "images are decoded again in every epoch" in error


def test_size__unrelated_folders_are_not_removed():
    place = cache_dir() / "decoded"
    others = [".git", "mine", f".{'a' * 64}", "A" * 64, "a" * 63]
    ours = [f".{'a' * 64}.1", f".{'a' * 64}.1.former", f".{'a' * 64}.1.damaged", "a" * 64]
    for name in (*others, *ours):
        (place / name).mkdir(parents=True)
        (place / name / "file").write_bytes(bytes(int(SIZE)))
        os.utime(place / name, (0, 0))
    cached(large("a"), gigabytes=1.5 * SIZE / GIB)
    assert len(entries()) == 1 + len(others)
    assert all((place / name / "file").stat().st_size == int(SIZE) for name in others)


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_size__leaves_half_of_the_machine(monkeypatch, what):
    free = SIZE * 1.8
    if what == "memory":
        monkeypatch.setattr(decoded_cache, "_memory", lambda: free)
    else:
        monkeypatch.setattr(decoded_cache.shutil, "disk_usage", lambda _path: SimpleNamespace(free=int(free)))
    assert not isinstance(*cached(large("a")), DecodedDataset)


def test_size__is_kept_where_the_estimate_was_too_low(capsys):
    plain = large("a")
    # between those that the estimate is from
    plain.samples[1] = (image(0, 1500, 1500), mask(0, 1500, 1500))
    assert cached(plain, gigabytes=1.1 * SIZE / GIB) == [plain]
    assert entries() == []
    assert "decoded samples take more than" in capsys.readouterr().err


# ---- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["index.npy", "pixels"])
@pytest.mark.parametrize("rest", [0, 100])
def test_damage__a_part_of_a_cache_is_made_anew(file, rest):
    plain = large("a")
    cached(plain)
    path = cache_dir() / "decoded" / entries()[0] / file
    os.truncate(path, rest)
    (quick,) = cached(plain)
    assert isinstance(quick, DecodedDataset)
    assert_equal([quick[19]], [plain.samples[19]])


class Killing(Own):
    """Kills the process that decodes, behind what the estimate reads."""

    decodes = True

    def __getitem__(self, index):
        if index == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_damage__leftovers_of_a_killed_build_are_removed(monkeypatch):
    samples = Killing(large("a").samples)
    killed = FORK.Process(target=cached, args=(samples,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    (leftover,) = (path for path in (cache_dir() / "decoded").iterdir() if path.is_dir())
    assert leftover.name.startswith(".")
    monkeypatch.setattr(Killing, "__getitem__", Own.__getitem__)
    (quick,) = cached(samples)
    assert isinstance(quick, DecodedDataset)
    assert not leftover.exists()
    assert len(entries()) == 1


class Telling(Own):
    """Tells other processes, too, when it is read."""

    decodes = True

    def __getitem__(self, index):
        self.log.put(index)
        return super().__getitem__(index)


def cached_elsewhere(samples, errors):
    """Map samples in a process of its own, whose messages go to a file."""
    with errors.open("w") as file, contextlib.redirect_stderr(file):
        cached(samples)


def test_turns__two_processes_decode_once(tmp_path):
    samples = Telling(large("a").samples)
    samples.log = FORK.SimpleQueue()
    files = [tmp_path / f"errors{number}" for number in range(2)]
    processes = [FORK.Process(target=cached_elsewhere, args=(samples, file)) for file in files]
    with file_lock(cache_dir() / "decoded", "nobody else is here"):
        for process in processes:
            process.start()
        message = "another process decodes images; waiting for it"
        wait_until(lambda: all(file.is_file() and message in file.read_text() for file in files))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    indices = []
    while not samples.log.empty():
        indices.append(samples.log.get())
    # all of them, and some for the estimate
    assert len(indices) == 20 + decoded_cache._SAMPLED
    assert len(entries()) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_image__is_named_as_without_the_cache(folders, workers):
    (folders / "train/images/5.png").write_bytes((folders / "train/images/5.png").read_bytes()[:-200])
    messages = []
    for decode in (True, False):
        data = MaskFolder(CLASSES, root=str(folders), train_transforms=CROPS, batch_size=4, num_workers=workers)
        with pytest.raises(DataError) as raised:
            data.decode() if decode else list(data.train_dataloader())
        messages.append(str(raised.value).rpartition("Error: ")[2].strip() or str(raised.value))
    assert messages[0] == messages[1]
    assert "5.png: this image cannot be read" in messages[0]
    assert entries() == []


def test_cache_gb__is_checked():
    with pytest.raises(ConfigError, match=r"data\.cache_gb: -1 is not a size"):
        Shapes(cache_gb=-1)


# ---- damage ---------------------------------------------------------------------------------------------------------

CACHED_FILES = ["pixels: image", "pixels: mask", "index.npy", "label-table-*.npy"]


def cached_file(kind):
    """Return a file of the cache, and the position of a part of it."""
    pattern = f"decoded/*/{kind.partition(':')[0]}" if "table" not in kind else kind
    path = sorted(cache_dir().glob(pattern))[0]
    if "pixels" not in kind:
        return path, range(path.stat().st_size)
    record = np.load(path.with_name("index.npy"))[0]
    end = int(record["start"] + np.prod(record["shape"]))
    return path, range(end) if "image" in kind else range(end, end + int(np.prod(record["size"][:2])))


def trained_on(folders):
    """Return the samples of a training that uses the cache, and its class counts."""
    data = STREAMS["folder"](folders)
    data.num_workers = 0
    data.check()
    data.decode()
    return stream(data), [data.class_table(split).tolist() for split in ("train", "val", "test")]


@pytest.mark.parametrize("kind", CACHED_FILES)
@pytest.mark.slow
def test_cache__each_of_25_flipped_bits_is_found_or_harmless(folders, kind, capfd):
    expected, generator = trained_on(folders), np.random.default_rng(CACHED_FILES.index(kind))
    rebuilt = 0
    for _ in range(25):
        path, part = cached_file(kind)
        content = bytearray(path.read_bytes())
        content[generator.choice(part)] ^= 1 << generator.integers(8)
        path.write_bytes(content)
        capfd.readouterr()
        assert trained_on(folders) == expected
        rebuilt += str(path) in capfd.readouterr().err
        MaskFolder(CLASSES, root=str(folders), num_workers=0).decode()
    assert rebuilt == 25


def headed(header):
    """Return a file in NumPy's format with a given header and a valid checksum."""
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    return content + xxhash.xxh3_64_digest(content)


PICKLED = pickle.dumps(np.array([print], object))
DAMAGE = {
    "empty": b"",
    "short": b"\x93NUM",
    "text": b"{}" * 50,
    "pickle": PICKLED + xxhash.xxh3_64_digest(PICKLED),
    "objects": headed(b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n"),
    "huge": headed(b"{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999,), }\n"),
    "negative": headed(b"{'descr': '<i8', 'fortran_order': False, 'shape': (-3,), }\n"),
    "another type": headed(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }\n"),
    "code": headed(b"__import__('os').abort()\n"),
    "deep": headed(b"(" * 3000),
    "truncated": None,
    "extended": None,
    "folder": None,
}


@pytest.mark.parametrize("kind", ["pixels", "index.npy", "label-table-*.npy"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_cache__invalid_file_is_reported_and_replaced(folders, kind, damage, capfd):
    expected = trained_on(folders)
    path, _ = cached_file(kind)
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        changed = {"truncated": content[:-5], "extended": content + b"more"}
        path.write_bytes(changed.get(damage, DAMAGE[damage]))
    capfd.readouterr()
    assert trained_on(folders) == expected
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"warning: {path}: ")
    assert trained_on(folders) == expected
    assert capfd.readouterr().err == ""


def test_cache__damage_during_a_training_is_reported_once(folders, capfd):
    expected = trained_on(folders)[0]
    data = STREAMS["folder"](folders)
    data.num_workers = 2
    data.decode()
    for path in cache_dir().glob("decoded/*/pixels"):
        path.write_bytes(bytes(path.stat().st_size))
    assert stream(data) == expected
    warnings = capfd.readouterr().err.splitlines()
    # of train, and of val
    assert len(warnings) == 2
    assert all(re.search(r"/pixels: .*png is damaged; its images are decoded again$", line) for line in warnings)
    assert entries() == []


# ---- the verb -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fit_folder(folders, recipe, fit, own_module):
    """Train on the folder of images for two epochs."""
    path = recipe(FOLDER.format(root=folders))
    return lambda *options: fit("--config", path, *options)


FOLDER = """
base: [configs/net/unet.yaml]
model: {{init_args: {{net: {{init_args: {{width: 4, depth: 1}}}}}}}}
data:
  class_path: MaskFolder
  init_args:
    root: {root}
    classes: [ground, road, car]
    batch_size: 4
    num_workers: 0
    train_transforms:
      - {{class_path: albumentations.RandomCrop, init_args: {{height: 8, width: 8}}}}
trainer: {{accelerator: cpu, max_epochs: 2, log_every_n_steps: 1}}
"""


def test_fit__the_numbers_are_the_same_and_files_are_read_once(fit_folder, monkeypatch):
    without = fit_folder("--data.cache_gb", "0")
    assert without.code == 0
    assert entries() == []
    first = fit_folder()
    assert first.code == 0, first.err
    assert len(entries()) == 2
    names = []
    read = MaskDataset.image_and_missing
    monkeypatch.setattr(
        MaskDataset, "image_and_missing", lambda self, index: names.append(self.name(index)) or read(self, index)
    )
    second = fit_folder()
    for run in (first, second):
        assert read_logged_values(run.folder) == read_logged_values(without.folder)
        assert hash_training_state(run.folder) == hash_training_state(without.folder)
    assert names
    assert all(name.startswith("test/") for name in names)


def test_fit__one_epoch_builds_no_cache(fit_folder):
    assert fit_folder("--trainer.max_epochs", "1").code == 0
    assert entries() == []


def test_fit__unwritable_cache_is_reported_once(fit_folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file/cache"))
    outcome = fit_folder()
    assert outcome.code == 0
    messages = [line for line in outcome.err.splitlines() if "decoded again in every epoch" in line]
    assert len(messages) == 2
    assert "Not a directory" in messages[0]


def test_fit__a_broken_image_ends_it_before_there_is_a_run_folder(fit_folder, folders, tmp_path):
    (folders / "train/images/5.png").write_bytes((folders / "train/images/5.png").read_bytes()[:-200])
    outcome = fit_folder()
    assert outcome.code == 2
    assert re.search(r"^lightseg: error: \S*5\.png: this image cannot be read", outcome.err)
    assert not list(tmp_path.glob("runs/*/*"))


def test_fit__a_loading_process_that_dies_is_named_with_its_file(recipe, fit, own_module):
    own_module("dying_worker", dying_worker_source(11))
    outcome = fit("--config", recipe(DYING_WORKER_RECIPE + "trainer: {accelerator: cpu, max_epochs: 2}"))
    assert outcome.code == 1
    assert re.search(r"a loading process died( \(signal: Killed\))? while it was at train/11\.png", outcome.err)
    assert entries() == []


@pytest.fixture
def crashing_folder(crashing_recipe, folders):
    """Recipe that crashes, on images from files."""
    head, _, rest = STATEFUL_RECIPE.partition("data:\n")
    text = head.replace("base: [configs/data/shapes.yaml]\n", "") + "data:\n  class_path: MaskFolder\n"
    rest = re.sub(r"    (image|train|val|test)_size: \d+\n", "", rest)
    rest = rest.replace("  init_args:\n", f"  init_args:\n    root: {folders}\n    classes: {CLASSES}\n", 1)
    crop = "      - {class_path: albumentations.RandomCrop, init_args: {height: 8, width: 8}}\n"
    crashing_recipe.write_text(text + rest.replace("train_transforms:\n", f"train_transforms:\n{crop}", 1))
    return crashing_recipe


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_kill__same_numbers_as_without_cache(crashing_folder, launch, tmp_path, devices):
    strategy = "ddp" if devices > 1 else "auto"
    how = ["--data.num_workers", "1", "--trainer.devices", devices, "--trainer.strategy", strategy]
    uninterrupted = ended(launch("--config", crashing_folder, *how, "--data.cache_gb", "0"))
    assert entries() == []
    killed = launch("--config", crashing_folder, *how, CRASH="on_before_backward:8", CRASH_BY="kill")
    killed.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(killed.pid, signal.SIGKILL)
    assert len(entries()) == 2
    (folder,) = (path for path in tmp_path.glob("runs/*/*") if path != uninterrupted)
    ended(launch("--resume", folder))
    assert_same_run(folder, uninterrupted)


def ended(process):
    """Return the run folder of a process that exits with code 0."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return Path(re.compile(r"^run: (.*)$", re.MULTILINE).search(out)[1])


FILLING = """
import contextlib
from lightseg.data import MaskFolder
from lightseg.data.datasets.mask_dataset import MaskDataset

class Filling(MaskDataset):
    decodes = True
    def image_and_missing(self, index):
        with open("{path}", "ab", buffering=0) as rest, contextlib.suppress(OSError):
            while index == 10 and rest.write(bytes(4096)):
                pass
        return super().image_and_missing(index)

class Folder(MaskFolder):
    def make_dataset(self, split):
        made = super().make_dataset(split)
        made.__class__ = Filling
        return made
"""


@pytest.mark.slow
def test_disk__full_during_a_training_is_reported(folders, recipe, own_module, tmp_path):
    own_module("filling", FILLING.format(path=tmp_path / "disk/rest"))
    path = recipe(FOLDER.format(root=folders).replace("MaskFolder", "filling.Folder"))
    fit = f"LIGHTSEG_CACHE={tmp_path}/disk {sys.executable} -m lightseg.fit --config {path} --runs_dir runs"
    done = run_on_small_disk(tmp_path, "1m", f'{fit}; echo "exit code $?"; find disk/decoded')
    assert "exit code 0" in done.stdout, done.stderr
    assert "No space left on device; images are decoded again in every epoch" in done.stderr
    assert "Traceback" not in done.stderr
    assert "pixels" not in done.stdout
