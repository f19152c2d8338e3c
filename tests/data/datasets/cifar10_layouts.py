"""Fabricated CIFAR-10 in all of its layouts."""

import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
from PIL import Image

from lightseg.data.datasets import cifar10_files as files
from lightseg.data.datasets.cifar10 import CIFAR10

PER_CLASS = {"train": 5, "test": 2}


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


def class_of(name):
    return files.CLASSES.index(name.split("/")[1])
