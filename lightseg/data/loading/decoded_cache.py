"""Image files decoded once: pixels and targets in one mapped file, shared by all processes of a machine."""

import contextlib
import errno
import hashlib
import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch.utils.data import DataLoader

from lightseg.data.dataset import ImageDataset
from lightseg.data.io import images, label_map, masks, netpbm, pixels
from lightseg.data.io.disk_cache import cache_dir, checksum, describe, map_table, warn, write_table
from lightseg.data.loading.collate import TransformedDataset, process_options
from lightseg.data.loading.loaders import TrackedDataset, describe_dead_worker
from lightseg.data.sample_index import SampleIndex
from lightseg.data.transforms.pipeline import EvalTransform
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import RunError
from lightseg.files.atomic import atomic_folder, file_lock, flushed
from lightseg.files.evenly_spaced import spread

_GIB, _INDEX, _PIXELS = 2**30, "index.npy", "pixels"

_ENTRY, _LEFT_OVER = re.compile(r"[0-9a-f]{64}"), re.compile(r"\.[0-9a-f]{64}\.\d+(\.(former|damaged))?")
"""The only folders that are ever removed: the cache may be set to a place where there are others."""

# numpy's names of the types; that of a target which is no mask is empty, and so is its shape
_RECORD = np.dtype(
    [
        *[("start", "i8"), ("image", "S3"), ("shape", "i4", 3)],
        *[("mask", "S3"), ("size", "i4", 2), ("label", "i8"), ("checksum", "u8")],
    ]
)

_DECODERS = ("imagecodecs", "opencv-python", "opencv-python-headless", "pillow", "tifffile")
"""Packages that may decode a file to other pixels when they change."""

_NO_MASK: Array = np.zeros((0, 0), np.uint8)
"""Stands for the mask of a target that is none."""

_TRIED = 8
"""Samples that the size of all is estimated from."""


class DecodedDataset(ImageDataset):
    """Dataset whose samples are copied out of a mapped file; names and hashes are its own.

    Args:
        dataset: The dataset.
        folder: What was written for it.
        rows: Which of the samples there are its own; left out, all of them.

    Raises:
        OSError: If the folder is not there, or cannot be read.
        ValueError: If it is damaged.
    """

    def __init__(self, dataset: ImageDataset, folder: Path, rows: npt.NDArray[np.intp] | None = None) -> None:
        self._dataset, self._folder, self._rows = dataset, folder, rows
        index = _read_index(folder)
        self._index = index if rows is None else index[rows]
        if len(self._index) != len(dataset):
            raise ValueError(f"{folder / _INDEX}: has {len(self._index)} samples instead of {len(dataset)}")
        self._pixels = np.memmap(folder / _PIXELS, np.uint8, "r")

    def __reduce__(self) -> tuple[Any, ...]:
        # a mapped array would be pickled as a copy of all its pixels
        return _map, (self._dataset, self._folder, self._rows)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        start, image_type, shape, mask_type, size, label, expected = self._index[index].tolist()
        image, end = self._copy(start, image_type, shape)
        mask = self._copy(end, mask_type, size)[0] if mask_type else _NO_MASK
        if checksum(image, mask) != expected:
            _discard(self._folder, f"{self._folder / _PIXELS}: {self.name(index)} is damaged")
            return self._dataset[index]
        return image, mask if mask_type else label

    def _copy(self, start: int, kind: bytes, shape: Sequence[int]) -> tuple[Array, int]:
        """Return an array of its own, which may be written to, and where it ends in the file."""
        array = np.empty(shape, kind.decode())
        end = start + array.nbytes
        array.reshape(-1).view(np.uint8)[:] = self._pixels[start:end]
        return array, end

    def name(self, index: int) -> str:
        """As in the dataset."""
        return self._dataset.name(index)

    def is_turned_alone(self, index: int) -> bool:
        """As in the dataset."""
        return self._dataset.is_turned_alone(index)

    def fingerprint(self) -> str:
        """As in the dataset."""
        return self._dataset.fingerprint()

    def cache_key(self) -> str:
        """As in the dataset."""
        return self._dataset.cache_key()

    def class_table(self, num_classes: int) -> ClassCounts:
        """As in the dataset."""
        return self._dataset.class_table(num_classes)

    def subset(self, indices: npt.NDArray[np.intp]) -> ImageDataset:
        """Some of the samples, out of the same file."""
        rows = indices if self._rows is None else self._rows[indices]
        return _map(self._dataset.subset(indices), self._folder, rows)


def map_decoded(parts: Sequence[ImageDataset], gigabytes: float, workers: int, build: bool) -> list[ImageDataset]:
    """Datasets that read their samples from the cache; one whose samples are not and cannot be there stays as it is.

    What has not been used for longest makes room. A cache takes no more than half of the memory, since it is slow where
    it has to be read from the disk, and no more than half of what is free on the disk.

    Args:
        parts: The datasets; those that do not decode files stay as they are.
        gigabytes: GiB that all caches of decoded samples on this machine may take together.
        workers: Processes that decode.
        build: Whether to decode what is not there yet.

    Raises:
        DataError: If a sample is broken.
        RunError: If a process that decodes dies.
    """
    # of the class itself: one derived from it may read something else
    folders = [_folder(part) if vars(type(part)).get("decodes") and len(part) else None for part in parts]
    used_folders = {folder for folder in folders if folder}
    return [
        part if folder is None else _map_or_build(part, folder, used_folders, gigabytes, workers, build)
        for part, folder in zip(parts, folders, strict=True)
    ]


def is_multi_epoch(trainer: L.Trainer, samples: int, batch_size: int) -> bool:
    """Return whether a training goes through its samples twice or more; else to decode them beforehand gains nothing.

    Args:
        trainer: Of the training.
        samples: Number of training samples.
        batch_size: Of them, in an optimiser step.
    """
    if trainer.fast_dev_run or trainer.overfit_batches or trainer.limit_train_batches != 1.0:  # type: ignore[attr-defined]
        return False
    epochs = np.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    by_steps = np.inf if trainer.max_steps == -1 else trainer.max_steps * batch_size / samples
    return bool(min(epochs, by_steps) >= 2)


def _folder(dataset: ImageDataset) -> Path:
    """Return where its samples lie: by what they are, and by what decodes them."""
    kind = type(dataset)
    facts = [f"{kind.__module__}.{kind.__qualname__}", dataset.cache_key(), str(_RECORD)]
    # not the package's version, which stays while its files are worked on
    facts += [inspect.getsource(module) for module in (images, label_map, masks, netpbm, pixels)]
    for package in _DECODERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts.append(f"{package} {metadata.version(package)}")
    return cache_dir() / "decoded" / hashlib.sha256("\0".join(facts).encode()).hexdigest()


def _map_or_build(
    dataset: ImageDataset, folder: Path, used_folders: set[Path], gigabytes: float, workers: int, build: bool
) -> ImageDataset:
    mapped = _map(dataset, folder)
    if mapped is not dataset or not build:
        return mapped
    try:
        with file_lock(folder.parent, "another process decodes images; waiting for it"):
            # which the process that was waited for may have made
            mapped = _map(dataset, folder)
            if mapped is dataset:
                room = _make_room(dataset, folder, used_folders, gigabytes)
                _build(dataset, folder, workers, room)
                mapped = _map(dataset, folder)
    except OSError as error:
        warn(f"{folder.parent}: {error.strerror or error}; images are decoded again in every epoch")
    return mapped


def _map(dataset: ImageDataset, folder: Path, rows: npt.NDArray[np.intp] | None = None) -> ImageDataset:
    """Return the dataset out of the cache, or itself where that has been removed meanwhile."""
    try:
        mapped = DecodedDataset(dataset, folder, rows)
    except (FileNotFoundError, NotADirectoryError):
        return dataset
    except (OSError, ValueError) as error:
        _discard(folder, describe(error))
        return dataset
    # a cache that others have made may be read-only
    with contextlib.suppress(OSError):
        os.utime(folder)
    return mapped


def _discard(folder: Path, reason: str) -> None:
    """Remove a damaged cache and say it; of all processes that read it, one does. The next training builds it anew."""
    rest = folder.with_name(f".{folder.name}.{os.getpid()}.damaged")
    advice = "its images are decoded again"
    try:
        folder.rename(rest)
    except FileNotFoundError:
        return
    except OSError:
        advice += f" in every epoch, since {folder} cannot be removed"
    print(f"warning: {reason}; {advice}", file=sys.stderr, flush=True)
    shutil.rmtree(rest, ignore_errors=True)


def _read_index(folder: Path) -> npt.NDArray[Any]:
    """Return what lies where, a record for each sample.

    Raises:
        OSError: If the folder is not there, or cannot be read.
        ValueError: If it is damaged.
    """
    index = map_table(folder / _INDEX)
    if index.dtype != _RECORD or index.ndim != 1 or not len(index):
        raise ValueError(f"{folder / _INDEX}: is no index of decoded samples")
    size = (folder / _PIXELS).stat().st_size
    if size != index[-1]["start"]:
        raise ValueError(f"{folder / _PIXELS}: has {size} bytes instead of {index[-1]['start']}")
    return index[:-1]


def _make_room(dataset: ImageDataset, folder: Path, used_folders: set[Path], gigabytes: float) -> int:
    """Bytes that the samples may take; what is left of interrupted runs, and the caches used longest ago, are removed.

    Raises:
        OSError: If there is not room for them.
    """
    # what is in the samples' own place is not whole
    for stale in (folder, *_folders(folder.parent, _LEFT_OVER)):
        shutil.rmtree(stale, ignore_errors=True)
    entries = sorted(_folders(folder.parent, _ENTRY), key=lambda entry: entry.stat().st_mtime)
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in entries}
    limit, needed = int(min(gigabytes * _GIB, _memory() / 2)), _estimate(dataset)
    if needed + sum(sizes[entry] for entry in sizes if entry in used_folders) <= limit:
        for entry in entries:
            if entry not in used_folders and needed > _room(folder.parent, limit, sizes.values()):
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


def _folders(place: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [entry for entry in place.iterdir() if pattern.fullmatch(entry.name) and entry.is_dir()]


def _room(folder: Path, limit: int, sizes: Iterable[int]) -> int:
    return max(0, min(limit - sum(sizes), shutil.disk_usage(folder).free // 2))


def _estimate(dataset: ImageDataset) -> int:
    """Bytes of all samples, from some that are spread over them."""
    sizes = [sum(np.asarray(part).nbytes for part in dataset[index]) for index in spread(_TRIED, len(dataset))]
    return int(np.mean(sizes) * len(dataset)) + len(dataset) * _RECORD.itemsize


def _build(dataset: ImageDataset, folder: Path, workers: int, room: int) -> None:
    """Decode all samples into the folder, which is there when it is whole.

    Raises:
        OSError: If they take more than their room, or cannot be written.
    """
    # the last record only says where the one before it ends
    index, end = np.zeros(len(dataset) + 1, _RECORD), 0
    with atomic_folder(folder) as temporary:
        # written, not mapped: a disk that is full is then an error and not a signal
        with flushed(temporary / _PIXELS) as file:
            for number, (image, target) in enumerate(_read(dataset, workers)):
                mask = target if isinstance(target, np.ndarray) else _NO_MASK
                kind, label = (mask.dtype.str, 0) if mask is target else ("", target)
                image, mask = np.ascontiguousarray(image), np.ascontiguousarray(mask)
                digest = checksum(image, mask)
                index[number] = end, image.dtype.str, image.shape, kind, mask.shape, label, digest
                end += image.nbytes + mask.nbytes
                if end + index.nbytes > room:
                    raise OSError(errno.ENOSPC, f"decoded samples take more than {room / _GIB:.2g} GiB")
                file.write(image.data)
                file.write(mask.data)
        index[-1]["start"] = end
        with flushed(temporary / _INDEX) as file:
            write_table(file, index)


class _AsRead(TransformedDataset):
    """Dataset's samples as they are."""

    def __getitem__(self, position: SampleIndex | int) -> Any:
        return self.dataset[int(position)]  # type: ignore[arg-type]


def _read(dataset: ImageDataset, workers: int) -> Iterator[tuple[Array, Array | int]]:
    """All samples in order, read in parallel, with a bar on a terminal."""
    workers = workers if len(dataset) > 4 * workers else 0
    samples = TrackedDataset(_AsRead(dataset, EvalTransform([])), workers)
    loader = DataLoader(
        samples,
        batch_size=None,
        collate_fn=tuple,
        **process_options(workers),
        # of its own, so that the one that everybody shares gives the same numbers with the cache and without
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
    """Bytes of this machine's memory."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
