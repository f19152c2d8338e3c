"""Base class of the datasets of files: their fingerprint, their cache key and their subsets."""

import copy
import hashlib
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from lightseg.data.dataset import ImageDataset
from lightseg.data.io.image_values import AS_STORED, ImageValues, Missing
from lightseg.data.io.images import image_size, read_image, read_image_and_missing, transparent_share
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.files.printable import format_count
from lightseg.hardware.cpu import usable_cores

_SAMPLED, _END_BYTES = 64, 4096
"""Samples whose files a fingerprint reads, and bytes that it reads at either end of a file."""

_SAMPLED_BYTES, _BLOCK_BYTES = 1 << 22, 1 << 16
"""Bytes of a sampled image that `image_digest` reads, of a larger file in evenly spaced blocks of this size."""

_CHUNK = 8192
"""Files per chunk of `stat` calls and of hashed names."""

_SLOW_STAT = 50e-6
"""Seconds per `stat` call from which on threads are used."""

_NO_FILE = os.stat_result([0] * 10, {"st_mtime_ns": 0, "st_ctime_ns": 0})
"""`stat` result of a missing file."""

_Result = TypeVar("_Result")


class FileDataset(ImageDataset):
    """Dataset of image files, and of further files beside each image.

    Args:
        root: Folder to which the paths are relative.
        images: Path of the image of each sample.
        others: Paths of further files, likewise, such as masks; an empty path is no file.
        channels: Channels of an image.
        values: Bands, range and nodata value of the images, where the files do not define them.
    """

    def __init__(
        self,
        root: Path | str,
        images: Sequence[str],
        others: Sequence[Sequence[str]] = (),
        channels: int = 3,
        values: ImageValues = AS_STORED,
    ) -> None:
        self.root, self.channels, self.values = Path(root), channels, values
        self._files = [np.array(files, np.str_) for files in (images, *others)]
        self._file_stats: npt.NDArray[np.int64] | None = None
        self._files_digest: bytes | None = None
        self._has_fingerprint = False

    @abstractmethod
    def _target_key(self) -> bytes:
        """Return what determines the targets beside the files: the options of their reader, or the labels."""

    def _labels(self) -> bytes:
        """Return the targets that no file holds; they are part of the fingerprint."""
        return b""

    def __len__(self) -> int:
        return len(self._files[0])

    def name(self, index: int) -> str:
        """Return the image's path within the dataset."""
        return str(self._files[0][index])

    def files(self) -> set[str]:
        """Return the paths of all files within the dataset, those beside the images too."""
        return {file for files in self._files for file in files.tolist() if file}

    def folders(self) -> set[Path]:
        """Return the folders that hold the images."""
        parents = {self.name(index).rpartition("/")[0] for index in range(len(self))}
        return {self.root / parent for parent in parents}

    def image(self, index: int) -> Array:
        """Read the image alone, `(H, W, C)`."""
        return read_image(self.root / self.name(index), self.channels, values=self.values)

    def image_and_missing(self, index: int) -> tuple[Array, Missing | None]:
        """Read the image alone, and its missing pixels `(H, W)`; None if no value marks them."""
        return read_image_and_missing(self.root / self.name(index), self.channels, values=self.values)

    def image_size(self, index: int) -> tuple[int, int]:
        """Read height and width of the image from its header."""
        return image_size(self.root / self.name(index), self.values.stored_channels(self.channels))

    def transparent_share(self, index: int) -> float | None:
        """Return the share of pixels that an alpha makes transparent which is dropped; None without such an alpha."""
        return transparent_share(self.root / self.name(index), self.channels, self.values)

    def image_bytes(self) -> npt.NDArray[np.int64]:
        """Return the size of each image's file in bytes, `(N,)`."""
        return self._stats()[0, :, 0]

    def fingerprint(self) -> str:
        """Hash relative paths, file sizes, labels, and both ends of the files of up to 64 samples of the split."""
        if self._has_fingerprint:
            # a second call, at the end of a run, must see changed files
            self._file_stats = self._files_digest = None
        self._has_fingerprint = True
        digest = hashlib.sha256(self._labels())
        for files, stats in self._chunks():
            lines = zip(files, stats[:, 0].tolist(), strict=True)
            digest.update("".join(f"{file}\0{size}\0" for file, size in lines).encode())
        for index in spread(_SAMPLED, len(self)):
            for file in filter(None, (str(files[index]) for files in self._files)):
                digest.update(read_ends(self.root / file))
        return digest.hexdigest()

    def image_digest(self) -> bytes:
        """Hash the images of up to 64 samples of the split; of a large file, evenly spaced blocks."""
        digest = hashlib.sha256()
        for index in spread(_SAMPLED, len(self)):
            for block in read_blocks(self.root / self.name(index)):
                digest.update(block)
        return digest.digest()

    def cache_key(self) -> str:
        """Hash paths, sizes, times, and all else that determines pixels and targets."""
        if self._files_digest is None:
            # once, since caches are looked up a hundred times in a run
            digest = hashlib.sha256()
            for files, stats in self._chunks():
                digest.update("\0".join([*files, ""]).encode() + stats.tobytes())
            self._files_digest = digest.digest()
        options = f"\0{self.channels}\0{self.values}\0".encode()
        content = f"{self.root.resolve()}\0".encode() + self._target_key() + options + self._files_digest
        return hashlib.sha256(content).hexdigest()

    def subset(self, indices: npt.NDArray[np.intp]) -> Self:
        """Return a dataset of the samples with these indices, `(M,)`."""
        subset = copy.copy(self)
        subset._files = [files[indices] for files in self._files]
        subset._files_digest = None
        subset._file_stats = None if self._file_stats is None else self._file_stats[:, indices]
        return subset

    def _map_samples(self, function: Callable[[int], _Result]) -> Iterator[tuple[int, _Result]]:
        """Yield the index of each sample with the result of a function, computed in parallel threads.

        After the first error, no result is yielded, and the other errors are collected.

        Raises:
            DataError: If the function fails for any sample; `_summarize` of all errors.
        """

        def call(index: int) -> _Result | DataError:
            try:
                return function(index)
            except DataError as error:
                return error

        errors: list[DataError] = []
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            for index, result in enumerate(pool.map(call, range(len(self)))):
                if isinstance(result, DataError):
                    errors.append(result)
                elif not errors:
                    yield index, result
        if errors:
            raise self._summarize(errors)

    def _summarize(self, errors: Sequence[DataError]) -> DataError:
        """Return one error for the errors of all broken files of the split: the first one, with their number."""
        first, more = errors[0], len(errors) - 1
        return DataError(f"{first}\n(and {format_count(more, 'more broken file')} in this split)") if more else first

    def _chunks(self) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
        """Yield the names of all files, images first, and their `_stat_files`, in chunks."""
        for files, stats in zip(self._files, self._stats(), strict=True):
            for start in range(0, len(files), _CHUNK):
                yield files[start : start + _CHUNK].tolist(), stats[start : start + _CHUNK]

    def _stats(self) -> npt.NDArray[np.int64]:
        """Return `_stat_files` of the images and of the other files, `(F, N, 3)`."""
        if self._file_stats is None:
            # once, since a million files take seconds; caches and record of a run thus describe its start
            self._file_stats = np.stack([self._stat_files(files) for files in self._files])
        return self._file_stats

    def _stat_files(self, files: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Return size in bytes, and times of the last change of content and of metadata in ns, `(N, 3)`."""
        chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
        start_time = time.perf_counter()
        stats = [np.empty((0, 3), np.int64), *map(self._stat_chunk, chunks[:1])]
        if time.perf_counter() - start_time < _SLOW_STAT * len(files[:_CHUNK]):
            return np.concatenate([*stats, *map(self._stat_chunk, chunks[1:])])
        # threads help on network storage, whose latency dominates, and not on a local disk
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            return np.concatenate([*stats, *pool.map(self._stat_chunk, chunks[1:])])

    def _stat_chunk(self, files: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        root = str(self.root)
        try:
            folder = os.open(root, os.O_RDONLY)
            try:
                # a `Path` for each file would take five times as long
                results = [os.stat(file, dir_fd=folder) if file else _NO_FILE for file in files.tolist()]
            finally:
                os.close(folder)
        except OSError as error:
            # files are relative to the root
            path = root if error.filename == root else self.root / error.filename
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        # copies and archives may restore the time of the content, but not that of the metadata
        numbers = (number for stat in results for number in (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        return np.fromiter(numbers, np.int64, 3 * len(results)).reshape(-1, 3)


def read_ends(path: Path) -> bytes:
    """Return the first and the last bytes of a file; all bytes of a small one."""
    with path.open("rb") as file:
        head = file.read(_END_BYTES)
        file.seek(max(_END_BYTES, path.stat().st_size - _END_BYTES))
        return head + file.read(_END_BYTES)


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file; of a large one, those of evenly spaced blocks from its first to its last byte."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _SAMPLED_BYTES:
            yield file.read()
            return
        for start in np.linspace(0, size - _BLOCK_BYTES, _SAMPLED_BYTES // _BLOCK_BYTES).astype(np.int64).tolist():
            file.seek(start)
            yield file.read(_BLOCK_BYTES)
