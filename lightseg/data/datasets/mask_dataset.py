"""Segmentation dataset of image files and mask files."""

import copy
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightseg.data.data_module import ImageDataset
from lightseg.data.io.images import AS_STORED, ImageValues, exif_orientation, image_size, read_image
from lightseg.data.io.label_advice import Key
from lightseg.data.io.label_map import LabelMap, UndeclaredError
from lightseg.data.io.mask_consistency import used_colors
from lightseg.data.io.pairing import Pair
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.hardware.cpu import usable_cores
from lightseg.labels import IGNORE, Color

_SAMPLED, _END_BYTES = 64, 4096
"""Pairs of files that a fingerprint reads, and bytes that it reads at either end of a file."""

_CHUNK = 8192
"""Files per chunk of `stat` calls and of hashed names."""

_SLOW_STAT = 50e-6
"""Seconds per `stat` call from which on threads are used."""

_NO_FILE = os.stat_result([0] * 10, {"st_mtime_ns": 0, "st_ctime_ns": 0})
"""`stat` result of a missing mask."""


class SizeError(DataError):
    """Mask whose size differs from that of its image."""


class MaskDataset(ImageDataset):
    """Dataset of images and masks as files of one folder.

    Args:
        root: Folder to which the paths are relative.
        pairs: Samples.
        label_map: Lookup from file values to train ids.
        channels: Channels of an image.
        values: Range and nodata value of the images, where their bit depth does not define them.
    """

    decodes = True

    def __init__(
        self,
        root: Path | str,
        pairs: Sequence[Pair],
        label_map: LabelMap,
        channels: int = 3,
        values: ImageValues = AS_STORED,
    ) -> None:
        self.root, self.label_map, self.channels, self.values = Path(root), label_map, channels, values
        self._images = np.array([pair.image for pair in pairs], np.str_)
        self._masks = np.array([pair.mask for pair in pairs], np.str_)
        self._file_stats: npt.NDArray[np.int64] | None = None
        self._has_fingerprint = False

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        image, mask = self.image(index), self.mask(index)
        self.require_same_size(index, image.shape[:2], mask.shape)
        return image, mask

    def image(self, index: int) -> Array:
        """Read the image alone, `(H, W, C)`."""
        return read_image(self.root / self.name(index), self.channels, values=self.values)

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """Read the mask alone, `(H, W)`; without a mask file it is all first class."""
        if not self.mask_name(index):
            return np.zeros(image_size(self.root / self.name(index), self.channels), np.uint8)
        return self.label_map.read(self.root / self.mask_name(index))

    def mask_name(self, index: int) -> str:
        """Return the mask's path within the dataset; empty if the image has none and is all background."""
        return str(self._masks[index])

    def is_turned_alone(self, index: int) -> bool:
        """Return whether EXIF orientations of image and mask differ although their sizes match."""
        if not self.mask_name(index):
            return False
        image, mask = self.root / self.name(index), self.root / self.mask_name(index)
        height, width = image_size(image, self.channels)
        orientations = exif_orientation(image), exif_orientation(mask)
        # above 4, height and width are swapped
        return orientations[0] != orientations[1] and (height == width or max(orientations) <= 4)

    def name(self, index: int) -> str:
        """Return the image's path within the dataset."""
        return str(self._images[index])

    def fingerprint(self) -> str:
        """Hash relative paths, file sizes, and both ends of up to 64 images and masks spread over the split."""
        if self._has_fingerprint:
            # a second call, at the end of a run, must see changed files
            self._file_stats = None
        self._has_fingerprint = True
        digest = hashlib.sha256()
        for files, stats in self._chunks():
            lines = zip(files, stats[:, 0].tolist(), strict=True)
            digest.update("".join(f"{file}\0{size}\0" for file, size in lines).encode())
        for index in spread(_SAMPLED, len(self)):
            for file in filter(None, (self.name(index), self.mask_name(index))):
                digest.update(_read_ends(self.root / file))
        return digest.hexdigest()

    def cache_key(self) -> str:
        """Hash paths, sizes, times, and the options that determine pixels and train ids."""
        digest = hashlib.sha256(f"{self.root.resolve()}\0{self.label_map!r}\0{self.channels}\0{self.values}\0".encode())
        for files, stats in self._chunks():
            digest.update("\0".join([*files, ""]).encode() + stats.tobytes())
        return digest.hexdigest()

    def class_table(self, num_classes: int) -> ClassCounts:
        """Count the pixels of each class, int64 `(N, num_classes)`; every mask and image header is read, in parallel.

        Raises:
            DataError: If any mask is invalid; the message describes the first one and counts the others.
        """
        table, totals = np.zeros((len(self), num_classes), np.int64), np.zeros(IGNORE + 1, np.int64)
        errors: list[DataError] = []
        consistency = self.label_map.consistency()
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            for index, result in enumerate(pool.map(self._count_pixels, range(len(self)))):
                if isinstance(result, DataError):
                    errors.append(result)
                    continue
                counts, colors = result
                table[index] = counts[:num_classes]
                totals += counts
                if not errors:
                    consistency.add(f"{self.root}/{self.mask_name(index)}", counts, colors)
        if errors:
            raise self._summarize(errors)
        consistency.require()
        self.label_map.check_totals(str(self.root), totals)
        return table

    def subset(self, indices: npt.NDArray[np.intp]) -> "MaskDataset":
        """Return a dataset of the samples with these indices."""
        subset = copy.copy(self)
        subset._images, subset._masks = self._images[indices], self._masks[indices]
        subset._file_stats = None if self._file_stats is None else self._file_stats[:, indices]
        return subset

    def _count_pixels(self, index: int) -> tuple[ClassCounts, dict[int, Color]] | DataError:
        """Return the pixels per train id `(256,)` and the palette colors of a mask, or its error."""
        path, colors = self.root / self.mask_name(index), dict[int, Color]()
        try:
            if self.mask_name(index):
                values = self.label_map.file_values(path)
                mask = self.label_map.to_train_ids(path, values)
                # only if needed, since the header of each mask is read once more
                colors = used_colors(path, values) if self.label_map.is_by_index else {}
            else:
                mask = self.mask(index)
            size = image_size(self.root / str(self._images[index]), self.channels)
            self.require_same_size(index, size, mask.shape)
        except DataError as error:
            return error
        return np.bincount(mask.ravel(), minlength=IGNORE + 1), colors

    def _summarize(self, errors: Sequence[DataError]) -> DataError:
        """Return one error for all invalid files; undeclared labels are added up, so that one line declares all."""
        first, more = errors[0], len(errors) - 1
        if not more:
            return first
        if not isinstance(first, UndeclaredError):
            return DataError(f"{first}\n(and {more} more broken file{'s' * (more > 1)} in this split)")
        same = [e for e in errors if isinstance(e, UndeclaredError) and e.is_colored == first.is_colored]
        # values of interpolated files must not be declared
        interpolated = [error for error in same if error.is_interpolated]
        exact = [error for error in same if not error.is_interpolated] or same
        pixel_counts: Counter[Key] = sum((error.pixel_counts for error in exact), Counter())
        other_masks = f" and {more} more file{'s' * (more > 1)} of this split"
        error = self.label_map.undeclared_error(exact[0].path, pixel_counts, other_masks)
        if len(exact) == len(same):
            return error
        paths = ", ".join(error.path for error in interpolated[:3]) + ", …" * (len(interpolated) > 3)
        return DataError(f"{error}\nand these look interpolated; export them again as PNG: {paths}")

    def require_same_size(self, index: int, image: Sequence[int], mask: Sequence[int]) -> None:
        """Check that a mask has the size of its image.

        Args:
            index: Index of the sample.
            image: Height and width of the image.
            mask: Height and width of the mask.

        Raises:
            SizeError: If not.
        """
        if tuple(image) == tuple(mask):
            return
        is_transposed = tuple(image) == tuple(reversed(mask))
        raise SizeError(
            f"{self.root / str(self._masks[index])}: is {mask[1]}×{mask[0]}, but its image {self._images[index]} is "
            f"{image[1]}×{image[0]} (width×height); "
            + (
                "the image's EXIF orientation may turn it: save image and mask with the same orientation"
                if is_transposed
                else "export the mask at the image's size, resized by nearest neighbor only"
            )
        )

    def _chunks(self) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
        """Yield the names of all files, images first, and their `_stat_files`, in chunks."""
        if self._file_stats is None:
            # once, since a million files take seconds; caches and record of a run thus describe its start
            self._file_stats = np.stack([self._stat_files(self._images), self._stat_files(self._masks)])
        for files, stats in zip((self._images, self._masks), self._file_stats, strict=True):
            for start in range(0, len(files), _CHUNK):
                yield files[start : start + _CHUNK].tolist(), stats[start : start + _CHUNK]

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


def _read_ends(path: Path) -> bytes:
    """Return the first and the last bytes of a file; all bytes of a small one."""
    with path.open("rb") as file:
        head = file.read(_END_BYTES)
        file.seek(max(_END_BYTES, path.stat().st_size - _END_BYTES))
        return head + file.read(_END_BYTES)
