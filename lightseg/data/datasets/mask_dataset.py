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
from lightseg.data.io.images import AS_STORED, ImageValues, exif_turn, image_size, read_image
from lightseg.data.io.label_advice import Key
from lightseg.data.io.label_map import LabelMap, UndeclaredError
from lightseg.data.io.mask_consistency import used_colors
from lightseg.data.io.masks import Color
from lightseg.data.io.pairing import Pair
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.hardware.cpu import usable_cores
from lightseg.labels import IGNORE

_SAMPLED, _ENDS = 64, 4096
"""A fingerprint reads this many pairs of files, and this many bytes at each of their ends."""

_CHUNK = 8192
"""Files that are looked up, or whose names are lines of text, at a time."""

_FAR = 50e-6
"""Seconds that the answer about a file takes, from which on several are asked for at once."""


_NO_FILE = os.stat_result([0] * 10, {"st_mtime_ns": 0, "st_ctime_ns": 0})
"""Stands for the mask of an image that has none."""


class SizeError(DataError):
    """Error for a mask that is not of its image's size."""


class MaskDataset(ImageDataset):
    """Images and masks as files of one folder.

    Args:
        root: Folder that the paths start from.
        pairs: The samples.
        label_map: How file values become train ids.
        channels: Channels of an image.
        values: The meaning of an image's values, where the depth of a file does not say it.
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
        self._looked_up: npt.NDArray[np.int64] | None = None
        self._is_told = False

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        image, mask = self.image(index), self.mask(index)
        self._require_same_size(index, image.shape[:2], mask.shape)
        return image, mask

    def image(self, index: int) -> Array:
        """Return the image alone, `(H, W, C)`."""
        return read_image(self.root / self.name(index), self.channels, values=self.values)

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the mask alone, `(H, W)`; where there is no file, all of it is the first class."""
        if not self.mask_name(index):
            return np.zeros(image_size(self.root / self.name(index), self.channels), np.uint8)
        return self.label_map.read(self.root / self.mask_name(index))

    def mask_name(self, index: int) -> str:
        """Return the mask's path within the dataset; nothing, where an image without a mask is all background."""
        return str(self._masks[index])

    def is_turned_alone(self, index: int) -> bool:
        """Return whether EXIF turns the image and not its mask, or the other way, where their sizes do not tell."""
        if not self.mask_name(index):
            return False
        files = [self.root / self.name(index), self.root / self.mask_name(index)]
        (height, width), turns = image_size(files[0], self.channels), [exif_turn(file) for file in files]
        return turns[0] != turns[1] and (height == width or max(turns) < 5)

    def name(self, index: int) -> str:
        """Return the image's path within the dataset."""
        return str(self._images[index])

    def fingerprint(self) -> str:
        """Return a hash of relative paths, file sizes, and both ends of up to 64 images and masks."""
        if self._is_told:
            # asked again, as at the end of a run: to see whether anything has changed
            self._looked_up = None
        self._is_told = True
        digest = hashlib.sha256()
        for files, facts in self._chunks():
            lines = zip(files, facts[:, 0].tolist(), strict=True)
            digest.update("".join(f"{file}\0{size}\0" for file, size in lines).encode())
        for index in spread(_SAMPLED, len(self)):
            for file in filter(None, (self.name(index), self.mask_name(index))):
                digest.update(_ends(self.root / file))
        return digest.hexdigest()

    def cache_key(self) -> str:
        """Return a hash of paths, sizes, times and the label map."""
        digest = hashlib.sha256(f"{self.root.resolve()}\0{self.label_map!r}\0{self.channels}\0{self.values}\0".encode())
        for files, facts in self._chunks():
            digest.update("\0".join([*files, ""]).encode() + facts.tobytes())
        return digest.hexdigest()

    def class_table(self, num_classes: int) -> ClassCounts:
        """As in `ImageDataset`; reads every mask and every image's header once, in parallel.

        Raises:
            DataError: If any mask cannot be used; says what is wrong with the first and how many more there are.
        """
        table, totals = np.zeros((len(self), num_classes), np.int64), np.zeros(IGNORE + 1, np.int64)
        broken: list[DataError] = []
        consistency = self.label_map.consistency()
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            for index, found in enumerate(pool.map(self._count_one, range(len(self)))):
                if isinstance(found, DataError):
                    broken.append(found)
                    continue
                counts, colors = found
                table[index] = counts[:num_classes]
                totals += counts
                if not broken:
                    consistency.add(f"{self.root}/{self.mask_name(index)}", counts, colors)
        if broken:
            raise self._summary(broken)
        consistency.require()
        self.label_map.check_totals(str(self.root), totals)
        return table

    def subset(self, indices: npt.NDArray[np.intp]) -> "MaskDataset":
        """Some of the samples."""
        some = copy.copy(self)
        some._images, some._masks = self._images[indices], self._masks[indices]
        some._looked_up = None if self._looked_up is None else self._looked_up[:, indices]
        return some

    def _count_one(self, index: int) -> tuple[ClassCounts, dict[int, Color]] | DataError:
        path, colors = self.root / self.mask_name(index), dict[int, Color]()
        try:
            if self.mask_name(index):
                values = self.label_map.file_values(path)
                mask = self.label_map.ids(path, values)
                # the header of each mask is read once more for them
                colors = used_colors(path, values) if self.label_map.is_by_index else {}
            else:
                mask = self.mask(index)
            size = image_size(self.root / str(self._images[index]), self.channels)
            self._require_same_size(index, size, mask.shape)
        except DataError as error:
            return error
        return np.bincount(mask.ravel(), minlength=IGNORE + 1), colors

    def _summary(self, broken: Sequence[DataError]) -> DataError:
        """Return one error for all broken files; their values are added up, so that one config line declares all."""
        first, more = broken[0], len(broken) - 1
        if not more:
            return first
        if isinstance(first, UndeclaredError):
            same = [e for e in broken if isinstance(e, UndeclaredError) and e.is_colored == first.is_colored]
            # what a few blurred files hold is not to be declared
            blurred = [error for error in same if error.is_interpolated]
            sharp = [error for error in same if not error.is_interpolated] or same
            values: Counter[Key] = sum((error.found for error in sharp), Counter())
            more = len(broken) - 1
            error = self.label_map.undeclared(
                sharp[0].where, values, f" and {more} more file{'s' * (more > 1)} of this split" if more else ""
            )
            if len(sharp) == len(same):
                return error
            names = ", ".join(error.where for error in blurred[:3]) + ", …" * (len(blurred) > 3)
            return DataError(f"{error}\nand these look interpolated; export them again as PNG: {names}")
        return DataError(f"{first}\n(and {more} more broken file{'s' * (more > 1)} in this split)")

    def _require_same_size(self, index: int, image: Sequence[int], mask: Sequence[int]) -> None:
        if tuple(image) == tuple(mask):
            return
        turned = tuple(image) == tuple(reversed(mask))
        raise SizeError(
            f"{self.root / str(self._masks[index])}: is {mask[1]}×{mask[0]}, but its image {self._images[index]} is "
            f"{image[1]}×{image[0]} (width×height); "
            + (
                "the image's EXIF orientation may turn it: save image and mask the same way up"
                if turned
                else "export the mask at the image's size, resized by nearest neighbour only"
            )
        )

    def _chunks(self) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
        """All files, images first, some at a time: their names, and what `_look_up` says of each."""
        if self._looked_up is None:
            # once, for a million files take seconds: a run's caches and its record are of what was there at its start
            self._looked_up = np.stack([self._look_up(self._images), self._look_up(self._masks)])
        for files, facts in zip((self._images, self._masks), self._looked_up, strict=True):
            for start in range(0, len(files), _CHUNK):
                yield files[start : start + _CHUNK].tolist(), facts[start : start + _CHUNK]

    def _look_up(self, files: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Size, and times of the last change of content and of anything in ns, of each file, `(N, 3)`."""
        parts = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
        since, stats = time.perf_counter(), [np.empty((0, 3), np.int64), *map(self._look_up_some, parts[:1])]
        if time.perf_counter() - since < _FAR * len(files[:_CHUNK]):
            return np.concatenate([*stats, *map(self._look_up_some, parts[1:])])
        # a server far away answers many questions in the time of one; a disk of this machine does not
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            return np.concatenate([*stats, *pool.map(self._look_up_some, parts[1:])])

    def _look_up_some(self, files: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        root = str(self.root)
        try:
            folder = os.open(root, os.O_RDONLY)
            try:
                # a path for each would take five times as long
                stats = [os.stat(file, dir_fd=folder) if file else _NO_FILE for file in files.tolist()]
            finally:
                os.close(folder)
        except OSError as error:
            # what is within the root is named from there
            path = root if error.filename == root else self.root / error.filename
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        # a copy, or an archive, may give another content the time of the old one, but not the time of this change
        facts = (number for stat in stats for number in (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        return np.fromiter(facts, np.int64, 3 * len(stats)).reshape(-1, 3)


def _ends(path: Path) -> bytes:
    """Return the first and the last bytes of a file: all of a small one."""
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(_ENDS, path.stat().st_size - _ENDS))
        return head + file.read(_ENDS)
