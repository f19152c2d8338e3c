"""Cache of decoded images: pixels and targets in one memory-mapped file, shared by all processes of a machine."""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch.utils.data import DataLoader

from lightseg.data.dataset import ImageDataset, versioned_key
from lightseg.data.io.mask_consistency import MaskValues
from lightseg.data.loading.collate import TransformedDataset, process_options
from lightseg.data.loading.loaders import TrackedDataset, describe_dead_worker
from lightseg.data.sample_index import SampleIndex
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import RunError
from lightseg.files.atomic import atomic_folder, file_lock, flushed
from lightseg.files.disk_cache import cache_dir, checksum, describe, map_table, warn_on_rank_zero, write_table
from lightseg.files.evenly_spaced import spread
from lightseg.files.printable import warn

_GIB, _INDEX, _PIXELS = 2**30, "index.npy", "pixels"

_ENTRY, _STALE = re.compile(r"[0-9a-f]{64}"), re.compile(r"\.[0-9a-f]{64}\.\d+(\.(former|damaged))?")
"""Names of complete caches and of leftovers; no other folders are removed, since the cache folder may hold others."""

# `image` and `mask` are NumPy dtype strings; for a class id, that of the mask is empty; `size` is filled up with -1
_RECORD = np.dtype(
    [
        *[("start", "i8"), ("image", "S3"), ("shape", "i4", 3)],
        *[("mask", "S3"), ("size", "i4", 3), ("label", "i8"), ("checksum", "u8")],
    ]
)

_NO_MASK: Array = np.zeros((0, 0), np.uint8)
"""Placeholder mask of a target that is a class id."""

_SAMPLED = 8
"""Number of samples from which the size of the cache is estimated."""


class DecodedDataset(ImageDataset):
    """Dataset whose samples are read from a cache of decoded images; all else is delegated to the original.

    Args:
        dataset: The original dataset.
        folder: Folder of the cache.
        rows: Row in the cache of each sample, `(N,)`; None: the cache has the same samples as the dataset.

    Raises:
        OSError: If the folder is missing or cannot be read.
        ValueError: If it is damaged.
    """

    def __init__(self, dataset: ImageDataset, folder: Path, rows: npt.NDArray[np.intp] | None = None) -> None:
        self._dataset, self._folder, self._rows, self.multilabel = dataset, folder, rows, dataset.multilabel
        index = _read_index(folder)
        self._index = index if rows is None else index[rows]
        if len(self._index) != len(dataset):
            raise ValueError(f"{folder / _INDEX}: has {len(self._index)} samples instead of {len(dataset)}")
        self._pixels = np.memmap(folder / _PIXELS, np.uint8, "r")

    def __reduce__(self) -> tuple[Any, ...]:
        # since a memory-mapped array is pickled with all its pixels
        return _map, (self._dataset, self._folder, self._rows)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        start, image_type, shape, mask_type, size, label, expected = self._index[index].tolist()
        image, end = self._copy(start, image_type, shape)
        mask = self._copy(end, mask_type, [side for side in size if side >= 0])[0] if mask_type else _NO_MASK
        if checksum(image, mask) != expected:
            _discard(self._folder, f"{self._folder / _PIXELS}: {self.name(index)} is damaged")
            return self._dataset[index]
        return image, mask if mask_type else label

    def _copy(self, start: int, dtype: bytes, shape: Sequence[int]) -> tuple[Array, int]:
        """Return a writable copy of an array in the file, and the position of its end."""
        array = np.empty(shape, dtype.decode())
        end = start + array.nbytes
        array.reshape(-1).view(np.uint8)[:] = self._pixels[start:end]
        return array, end

    def name(self, index: int) -> str:
        """Return the name of a sample in the original dataset."""
        return self._dataset.name(index)

    def is_turned_alone(self, index: int) -> bool:
        """Return whether EXIF rotates the image but not its mask, or the mask but not the image."""
        return self._dataset.is_turned_alone(index)

    def fingerprint(self) -> str:
        """Return the fingerprint of the original dataset."""
        return self._dataset.fingerprint()

    def image_digest(self) -> bytes:
        """Return the image digest of the original dataset."""
        return self._dataset.image_digest()

    def cache_key(self) -> str:
        """Return the cache key of the original dataset."""
        return self._dataset.cache_key()

    def class_table(self, num_classes: int) -> ClassCounts:
        """Return the class table of the original dataset."""
        return self._dataset.class_table(num_classes)

    def label_table(self, num_classes: int) -> ClassCounts:
        """Return the label table of the original dataset."""
        return self._dataset.label_table(num_classes)

    def mask_values(self) -> MaskValues | None:
        """Return the values of the mask files of the original dataset."""
        return self._dataset.mask_values()

    def subset(self, indices: npt.NDArray[np.intp]) -> ImageDataset:
        """Return a subset that reads from the same cache."""
        rows = indices if self._rows is None else self._rows[indices]
        return _map(self._dataset.subset(indices), self._folder, rows)


def map_decoded(parts: Sequence[ImageDataset], gigabytes: float, workers: int, build: bool) -> list[ImageDataset]:
    """Wrap datasets so that they read their samples from the cache, and build it where it is missing.

    The least recently used caches are removed to make room. The caches take at most half of the memory, since reading
    from the disk is slow, and a new one at most half of the free disk space.

    Args:
        parts: The datasets.
        gigabytes: Maximum size of all caches of decoded samples on this machine, in GiB.
        workers: Number of decoding processes.
        build: Whether to build missing caches.

    Returns:
        The wrapped datasets; a dataset that does not decode files, or has no cache, is returned unchanged.

    Raises:
        DataError: If a sample is broken.
        RunError: If a decoding process dies.
    """
    # not inherited, since a derived class may read other files
    folders = [_cache_folder(part) if vars(type(part)).get("decodes") and len(part) else None for part in parts]
    in_use = {folder for folder in folders if folder}
    return [
        part if folder is None else _map_or_build(part, folder, in_use, gigabytes, workers, build)
        for part, folder in zip(parts, folders, strict=True)
    ]


def is_multi_epoch(trainer: L.Trainer, samples: int, batch_size: int) -> bool:
    """Return whether a training reads its samples twice or more, so that a cache of decoded images pays.

    Args:
        trainer: The trainer.
        samples: Number of training samples.
        batch_size: Samples of an optimizer step.
    """
    if trainer.fast_dev_run or trainer.overfit_batches or trainer.limit_train_batches != 1.0:  # type: ignore[attr-defined]
        return False
    epochs = np.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    by_steps = np.inf if trainer.max_steps == -1 else trainer.max_steps * batch_size / samples
    return bool(min(epochs, by_steps) >= 2)


def _cache_folder(dataset: ImageDataset) -> Path:
    """Return the folder of a dataset's cache, named by a hash of its content and of the code that reads it."""
    kind = type(dataset)
    key_parts = [f"{kind.__module__}.{kind.__qualname__}", versioned_key(dataset), str(_RECORD)]
    return cache_dir() / "decoded" / hashlib.sha256("\0".join(key_parts).encode()).hexdigest()


def _map_or_build(
    dataset: ImageDataset, folder: Path, in_use: set[Path], gigabytes: float, workers: int, build: bool
) -> ImageDataset:
    mapped = _map(dataset, folder)
    if mapped is not dataset or not build:
        return mapped
    try:
        with file_lock(folder.parent, "another process decodes images; waiting for it"):
            # the process that held the lock may have built it
            mapped = _map(dataset, folder)
            if mapped is dataset:
                room = _make_room(dataset, folder, in_use, gigabytes)
                _build(dataset, folder, workers, room)
                mapped = _map(dataset, folder)
    except OSError as error:
        warn_on_rank_zero(f"{folder.parent}: {error.strerror or error}; images are decoded again in every epoch")
    return mapped


def _map(dataset: ImageDataset, folder: Path, rows: npt.NDArray[np.intp] | None = None) -> ImageDataset:
    """Return a dataset that reads from the cache; the dataset itself if the cache is missing or damaged."""
    try:
        mapped = DecodedDataset(dataset, folder, rows)
    except (FileNotFoundError, NotADirectoryError):
        return dataset
    except (OSError, ValueError) as error:
        _discard(folder, describe(error))
        return dataset
    # a cache of another user may be read-only
    with contextlib.suppress(OSError):
        os.utime(folder)
    return mapped


def _discard(folder: Path, reason: str) -> None:
    """Remove a damaged cache and print a warning, once for all processes; the next training rebuilds it."""
    damaged = folder.with_name(f".{folder.name}.{os.getpid()}.damaged")
    advice = "its images are decoded again"
    try:
        folder.rename(damaged)
    except FileNotFoundError:
        return
    except OSError:
        advice += f" in every epoch, since {folder} cannot be removed"
    warn(f"{reason}; {advice}")
    shutil.rmtree(damaged, ignore_errors=True)


def _read_index(folder: Path) -> npt.NDArray[Any]:
    """Read the index of a cache: one `_RECORD` per sample, `(N,)`.

    Raises:
        OSError: If the folder is missing or cannot be read.
        ValueError: If it is damaged.
    """
    index = map_table(folder / _INDEX)
    if index.dtype != _RECORD or index.ndim != 1 or not len(index):
        raise ValueError(f"{folder / _INDEX}: is not an index of decoded samples")
    size = (folder / _PIXELS).stat().st_size
    if size != index[-1]["start"]:
        raise ValueError(f"{folder / _PIXELS}: has {size} bytes instead of {index[-1]['start']}")
    return index[:-1]


def _make_room(dataset: ImageDataset, folder: Path, in_use: set[Path], gigabytes: float) -> int:
    """Remove leftovers and the least recently used caches, and return the bytes available to the new cache.

    Args:
        dataset: The dataset to be decoded.
        folder: Folder of its cache.
        in_use: Folders of the caches of this training, which are not removed.
        gigabytes: Maximum size of all caches in GiB.

    Raises:
        OSError: If there is not enough room.
    """
    # a folder that could not be mapped is incomplete
    for stale in (folder, *_list_folders(folder.parent, _STALE)):
        shutil.rmtree(stale, ignore_errors=True)
    entries = sorted(_list_folders(folder.parent, _ENTRY), key=lambda entry: entry.stat().st_mtime)
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in entries}
    limit, needed = int(min(gigabytes * _GIB, _memory() / 2)), _estimate(dataset)
    if needed + sum(sizes[entry] for entry in sizes if entry in in_use) <= limit:
        for entry in entries:
            if entry not in in_use and needed > _room(folder.parent, limit, sizes.values()):
                shutil.rmtree(entry)
                del sizes[entry]
    room = _room(folder.parent, limit, sizes.values())
    if needed > room:
        raise OSError(
            errno.ENOSPC,
            f"{len(dataset)} decoded samples take {needed / _GIB:.2g} GiB, and there is room for {room / _GIB:.2g} "
            "(data.cache_gb, half of the memory, half of the free disk)",
        )
    return room


def _list_folders(parent: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [entry for entry in parent.iterdir() if pattern.fullmatch(entry.name) and entry.is_dir()]


def _room(folder: Path, limit: int, sizes: Iterable[int]) -> int:
    """Return the bytes available to a new cache, from the limit of all caches and the sizes of the existing ones."""
    return max(0, min(limit - sum(sizes), shutil.disk_usage(folder).free // 2))


def _estimate(dataset: ImageDataset) -> int:
    """Estimate the bytes of all samples from a few of them."""
    sizes = [sum(np.asarray(array).nbytes for array in dataset[index]) for index in spread(_SAMPLED, len(dataset))]
    return int(np.mean(sizes) * len(dataset)) + len(dataset) * _RECORD.itemsize


def _build(dataset: ImageDataset, folder: Path, workers: int, room: int) -> None:
    """Decode all samples into a folder, which appears when it is complete.

    Args:
        dataset: The dataset.
        folder: The folder.
        workers: Number of decoding processes.
        room: Maximum size in bytes.

    Raises:
        OSError: If they take more than the room, or cannot be written.
    """
    # the last record holds only the end of the one before it
    index, end = np.zeros(len(dataset) + 1, _RECORD), 0
    with atomic_folder(folder) as temporary:
        # written instead of mapped, so that a full disk raises an error instead of a signal
        with flushed(temporary / _PIXELS) as file:
            for number, (image, target) in enumerate(_read(dataset, workers)):
                mask = target if isinstance(target, np.ndarray) else _NO_MASK
                mask_type, label = (mask.dtype.str, 0) if mask is target else ("", target)
                image, mask = np.ascontiguousarray(image), np.ascontiguousarray(mask)
                digest = checksum(image, mask)
                size = mask.shape + (-1,) * (3 - mask.ndim)
                index[number] = end, image.dtype.str, image.shape, mask_type, size, label, digest
                end += image.nbytes + mask.nbytes
                if end + index.nbytes > room:
                    raise OSError(errno.ENOSPC, f"decoded samples take more than {room / _GIB:.2g} GiB")
                file.write(image.data)
                file.write(mask.data)
        index[-1]["start"] = end
        with flushed(temporary / _INDEX) as file:
            write_table(file, index)


class _Untransformed(TransformedDataset):
    """Samples of a dataset without transforms."""

    def __getitem__(self, position: SampleIndex | int) -> Any:
        return self.dataset[int(position)]  # type: ignore[arg-type]


def _read(dataset: ImageDataset, workers: int) -> Iterator[tuple[Array, Array | int]]:
    """Yield all samples in order, decoded in parallel, with a progress bar on a terminal."""
    workers = workers if len(dataset) > 4 * workers else 0
    samples = TrackedDataset(_Untransformed(dataset, EvalTransform([])), workers)
    loader = DataLoader(
        samples,
        batch_size=None,
        collate_fn=tuple,
        **process_options(workers),
        # a separate generator, so that the global one is in the same state with the cache and without
        generator=torch.Generator(),
    )
    try:
        yield from track(loader, "decoding images", len(samples), transient=True, disable=not sys.stdout.isatty())
    except RuntimeError as error:
        message = describe_dead_worker(error, [samples])
        if message is None:
            raise
        raise RunError(message) from None


def _memory() -> float:
    """Return the bytes of this machine's memory."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
