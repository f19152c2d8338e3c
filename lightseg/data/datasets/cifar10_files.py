"""Readers of CIFAR-10's archive, batches, folders and zip files, into one table that all processes share."""

import hashlib
import io
import lzma
import os
import pickle
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from torchvision.datasets.utils import download_url

from lightseg.data.io.pillow_formats import FORMATS
from lightseg.errors import DataError
from lightseg.files.atomic import require_regular
from lightseg.files.disk_cache import cache_dir, cached_table

CLASSES: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE: Final = "cifar-10-python.tar.gz"
ARCHIVE_MD5: Final = "c58f30108f718f92721af3b95e74349a"
URL: Final = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
SIDE: Final = 32

SampleTable = npt.NDArray[np.void]
"""Structured array `(N,)` of image `(32, 32, 3)` uint8, label uint8, train bool and name bytes; sorted by name."""

_FOLDER = "cifar-10-batches-py"
_BATCHES = {f"data_batch_{number}": "train" for number in range(1, 6)} | {"test_batch": "test"}
_IMAGE_PATH = re.compile(r"(?:^|/)(train|test)/([^/]+)/([^/.][^/]*\.(?:png|jpe?g))$", re.IGNORECASE)

_DECODING_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""Exceptions of an image or a zip that is damaged, encrypted, or compressed by an unsupported method."""


class Cifar10Source(NamedTuple):
    """Location of CIFAR-10 on disk, with its reader.

    Attributes:
        path: Folder or file that holds the samples.
        state: Text that changes whenever the content may have changed.
        read_table: Reads every sample, in any order.
    """

    path: Path
    state: str
    read_table: Callable[[], SampleTable]


def load(root: Path) -> SampleTable:
    """Load every sample, sorted by name; decoded once per machine, then mapped from the cache folder.

    Raises:
        DataError: If `root` holds no CIFAR-10, or an incomplete or damaged one.
    """
    source = locate(root)
    if source is None:
        raise DataError(
            f"{root}: no CIFAR-10 here; looked for {_FOLDER}/, {ARCHIVE}, the folders train/<class>/ and "
            "test/<class>/, and one .zip of these. Set data.root to where one of them is, or data.download to true"
        )
    digest = hashlib.sha256(f"{source.path.resolve()} {source.state}".encode()).hexdigest()

    def read_sorted() -> SampleTable:
        table = source.read_table()
        return table[np.argsort(table["name"], kind="stable")]

    return cached_table(cache_dir() / f"cifar10-{digest[:20]}.npy", read_sorted)


def locate(root: Path) -> Cifar10Source | None:
    """Return the location of CIFAR-10 in `root`, or `root` itself; None if there is none.

    Raises:
        DataError: If there are several, or a file cannot be read.
    """
    if root.is_file():
        return _archive(root) if root.name.endswith((".tar.gz", ".tgz")) else _zip(root)
    for folder in (root, root / _FOLDER):
        if (folder / "data_batch_1").is_file():
            return _batches(folder)
    if (root / "train").is_dir() or (root / "test").is_dir():
        return _image_folders(root)
    if (root / ARCHIVE).is_file():
        return _archive(root / ARCHIVE)
    zips = [source for source in map(_zip, sorted(root.glob("*.zip"))) if source]
    if len(zips) > 1:
        raise DataError(f"{root}: {zips[0].path.name} and {zips[1].path.name} both hold images; set data.root to one")
    return zips[0] if zips else None


def download(root: Path) -> None:
    """Download the official archive into `root`, unless it exists with the right checksum.

    Raises:
        DataError: If the download fails; the message describes the manual download.
    """
    try:
        download_url(URL, str(root), md5=ARCHIVE_MD5)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{URL}: cannot be downloaded ({error}); download it on another machine and put {ARCHIVE} "
            f"(md5 {ARCHIVE_MD5}) into {root}"
        ) from None


# ---- the official archive, packed and unpacked ---------------------------------------------------------------------


def _batches(folder: Path) -> Cifar10Source:
    def read_batch(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / name}: cannot be read: {error.strerror}") from None

    state = " ".join(_state(folder / name) for name in _BATCHES if (folder / name).exists())
    return Cifar10Source(folder, state, lambda: _read_batches(folder, read_batch))


def _archive(path: Path) -> Cifar10Source:
    def read_all() -> SampleTable:
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        if md5 != ARCHIVE_MD5:
            raise DataError(
                f"{path}: damaged or incomplete: its md5 is {md5} instead of {ARCHIVE_MD5}; "
                "delete it and download it again"
            )
        with tarfile.open(path) as tar:
            members = {member.name: member for member in tar}
            return _read_batches(path, lambda name: tar.extractfile(members[f"{_FOLDER}/{name}"]).read())  # type: ignore[union-attr]

    return Cifar10Source(path, _state(path), read_all)


def _read_batches(path: Path, read_batch: Callable[[str], bytes]) -> SampleTable:
    images, labels, names = [], [], []
    for batch, split in _BATCHES.items():
        content = _unpickle(read_batch(batch), f"{path}/{batch}")
        images.append(content[b"data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
        labels += content[b"labels"]
        files = zip(content[b"labels"], content[b"filenames"], strict=True)
        names += [f"{split}/{CLASSES[label]}/{file.decode()}" for label, file in files]
    return _build_table(np.concatenate(images), labels, names)


class _ArraysOnly(pickle.Unpickler):
    """Unpickler of plain values and numpy arrays that refuses every other global before importing it."""

    _ALLOWED: Final = {
        # the module of the function in numpy 1, which wrote the official files, and in numpy 2
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks to run {module}.{name}, which no batch needs")
        return self._ALLOWED[module, name]


def _unpickle(data: bytes, origin: str) -> dict[bytes, Any]:
    try:
        content = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        size = len(content[b"data"])
        is_valid = (
            content[b"data"].dtype == np.uint8
            and content[b"data"].shape == (size, 3 * SIDE * SIDE)
            and len(content[b"labels"]) == len(content[b"filenames"]) == size
            and all(label in range(len(CLASSES)) for label in content[b"labels"])
        )
    except Exception as error:  # a damaged pickle raises nearly any exception
        raise DataError(f"{origin}: not a batch of CIFAR-10: {error}") from None
    if not is_valid:
        raise DataError(f"{origin}: not a batch of CIFAR-10: its arrays have other shapes or values")
    return dict(content)


# ---- images in folders and in a zip --------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """Image file.

    Attributes:
        split: `train` or `test`.
        label: Class name.
        file: File name.
        path: Path of the file, or its name in the zip.
        state: Text that changes whenever the content may have changed.
    """

    split: str
    label: str
    file: str
    path: str
    state: str


def _to_entry(match: re.Match[str], path: str, state: str) -> _Entry:
    split, label, file = match.groups()
    return _Entry(split.lower(), label, file, path, state)


def _image_folders(root: Path) -> Cifar10Source:
    entries = list(_list_folder(root))
    _check_classes(root, entries)
    state = hashlib.sha256("\n".join(sorted(f"{entry.path} {entry.state}" for entry in entries)).encode())
    return Cifar10Source(
        root, state.hexdigest(), lambda: _decode_all(root, entries, lambda path: Path(path).read_bytes())
    )


def _list_folder(root: Path) -> Iterator[_Entry]:
    for folder in sorted(path for split in ("train", "test") for path in (root / split).glob("*") if path.is_dir()):
        with os.scandir(folder) as files:
            for file in files:
                if match := _IMAGE_PATH.search(Path(file.path).as_posix()):
                    yield _to_entry(match, file.path, _state(Path(file.path)))


def _zip(path: Path) -> Cifar10Source | None:
    require_regular(path, DataError)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except _DECODING_ERRORS as error:
        raise DataError(f"{path}: cannot be read as a zip: {error}") from None

    def read_all() -> SampleTable:
        entries = [_to_entry(match, match.string, "") for match in map(_IMAGE_PATH.search, members) if match]
        _check_classes(path, entries)
        with zipfile.ZipFile(path) as archive:
            return _decode_all(path, entries, archive.read)

    return Cifar10Source(path, _state(path), read_all) if any(map(_IMAGE_PATH.search, members)) else None


def _check_classes(path: Path, entries: Iterable[_Entry]) -> None:
    """Check that there are images of every class of CIFAR-10 in both splits, and of no other class.

    Raises:
        DataError: If a class is missing or unknown.
    """
    folders = {f"{entry.split}/{entry.label}" for entry in entries}
    expected = {f"{split}/{label}" for split in ("train", "test") for label in CLASSES}
    if empty_folders := sorted(expected - folders):
        raise DataError(f"{path}: no images in {', '.join(empty_folders)}; looked for .png, .jpg and .jpeg")
    if unknown := sorted(folders - expected):
        raise DataError(f"{path}: {', '.join(unknown)}: no class of CIFAR-10; its classes are {', '.join(CLASSES)}")


def _decode_all(path: Path, entries: list[_Entry], read_file: Callable[[str], bytes]) -> SampleTable:
    """Decode all images in threads.

    Raises:
        DataError: If a file is no RGB, gray or palette image of 32×32 pixels.
    """
    images = np.empty((len(entries), SIDE, SIDE, 3), np.uint8)

    def decode(index: int, entry: _Entry) -> None:
        try:
            with Image.open(io.BytesIO(read_file(entry.path)), formats=FORMATS) as image:
                pixels = np.asarray(image.convert("RGB"))
        except _DECODING_ERRORS as error:
            raise DataError(f"{path}: {entry.path}: cannot be read as an image: {error}") from None
        if pixels.shape != (SIDE, SIDE, 3):
            raise DataError(f"{path}: {entry.path}: {pixels.shape[1]}×{pixels.shape[0]} pixels instead of 32×32")
        images[index] = pixels

    with ThreadPoolExecutor() as threads:
        # the list raises the exceptions of the threads
        list(threads.map(decode, range(len(entries)), entries))
    labels = [CLASSES.index(entry.label) for entry in entries]
    return _build_table(images, labels, [f"{entry.split}/{entry.label}/{entry.file}" for entry in entries])


# ---- the table -----------------------------------------------------------------------------------------------------


def _build_table(images: npt.NDArray[np.uint8], labels: list[int], names: list[str]) -> SampleTable:
    encoded = np.array([name.encode() for name in names])
    fields = [("image", np.uint8, images.shape[1:]), ("label", np.uint8), ("train", np.bool_), ("name", encoded.dtype)]
    table = np.zeros(len(images), fields)
    table["image"], table["label"], table["name"] = images, labels, encoded
    table["train"] = np.char.startswith(encoded, b"train/")
    return table


def _state(path: Path) -> str:
    """Return name, size and time of the last change of a file.

    Raises:
        DataError: If it is no regular file, or cannot be read.
    """
    require_regular(path, DataError)
    try:
        info = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return f"{path.name} {info.st_size} {info.st_mtime_ns}"
