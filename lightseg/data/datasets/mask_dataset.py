"""Segmentation dataset of image files and mask files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from lightseg.data.dataset import count_columns, versioned_key
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.io.image_values import AS_STORED, ImageValues, add_void
from lightseg.data.io.images import exif_orientation
from lightseg.data.io.label_advice import Key
from lightseg.data.io.label_map import LabelMap, UndeclaredError
from lightseg.data.io.mask_consistency import MaskValues, used_colors
from lightseg.data.io.pairing import Pair
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import DataError
from lightseg.files.disk_cache import cached
from lightseg.files.printable import format_count, join_names
from lightseg.labels import IGNORE, Color


class SizeError(DataError):
    """Mask whose size differs from that of its image."""


class MaskSummary(NamedTuple):
    """Facts about the mask of a sample.

    Attributes:
        counts: Row of the mask in `class_table`, or a longer one.
        digest: Hash of the mask.
        values: For each file, as `MaskValues.add` takes it: its path within the dataset, the pixels of each of its
            values, `(256,)`, and the colors of its palette indices.
    """

    counts: ClassCounts
    digest: int
    values: Sequence[tuple[str, ClassCounts, dict[int, Color]]]


class MaskDataset(FileDataset):
    """Dataset of images and masks as files of one folder.

    Args:
        root: Folder to which the paths are relative.
        pairs: Samples.
        label_map: Lookup from file values to train ids.
        channels: Channels of an image.
        values: Bands, range and nodata value of the images, where the files do not define them; masks are void where
            an image has no data.
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
        images, masks = [pair.image for pair in pairs], [pair.mask for pair in pairs]
        super().__init__(root, images, [masks], channels, values)
        self.label_map = label_map

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        (image, is_missing), mask = self.image_and_missing(index), self.mask(index)
        self.require_same_size(index, image.shape[:2], mask.shape)
        return image, add_void(mask, is_missing)

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """Read the mask file alone, `(H, W)`; without one, the mask is all first class."""
        if not self.mask_name(index):
            return np.zeros(self.image_size(index), np.uint8)
        return self.label_map.read(self.root / self.mask_name(index))

    def file_values(self, path: Path | str) -> Array:
        """Read a mask file as its values `(H, W)`, or its colors `(H, W, 3)`."""
        return self.label_map.file_values(path)

    def mask_name(self, index: int) -> str:
        """Return the mask's path within the dataset; empty if the image has none and is all background."""
        return str(self._files[1][index])

    def mask_names(self, index: int) -> list[str]:
        """Return the paths of the mask's files within the dataset."""
        return [str(files[index]) for files in self._files[1:] if files[index]]

    def is_turned_alone(self, index: int) -> bool:
        """Return whether EXIF orientations of image and mask differ although their sizes match."""
        masks = self.mask_names(index)
        if not masks:
            return False
        height, width = self.image_size(index)
        orientation = exif_orientation(self.root / self.name(index))
        others = {exif_orientation(self.root / mask) for mask in masks} - {orientation}
        # above 4, height and width are swapped
        return bool(others) and (height == width or max(orientation, *others) <= 4)

    def class_table(self, num_classes: int) -> ClassCounts:
        """Count the pixels of each class, int64 `(N, num_classes)`; see `label_table`."""
        return self.label_table(num_classes)[:, :-1]

    def label_table(self, num_classes: int) -> ClassCounts:
        """Count the pixels of each class, and hash the train ids of each mask, int64 `(N, num_classes + 1)`.

        Every mask and image header is read, in parallel.

        Raises:
            DataError: If any mask is invalid; the message describes the first one and counts the others.
        """
        table, values = self._read_masks(num_classes)
        # they come from the same pass
        cached(self._values_key(), values.dump)
        return table

    def mask_values(self) -> MaskValues:
        """Return the values that the masks use, cached on disk; they are checked on every call.

        Raises:
            DataError: If any mask is invalid, or the masks of two classes are ambiguous.
        """
        values = self.label_map.mask_values()
        values.load(cached(self._values_key(), lambda: self._read_masks(len(self.label_map.classes))[1].dump()))
        values.require_one_meaning()
        self.label_map.check_totals(str(self.root), values.totals)
        return values

    def _values_key(self) -> str:
        # colors are read only where the indices of palettes are class ids
        return f"mask-values-{versioned_key(self)}-{'by-index' if self.label_map.is_by_index else 'declared'}"

    def _read_masks(self, num_classes: int) -> tuple[ClassCounts, MaskValues]:
        """Return the label table, and the values that the masks use; see `label_table`."""
        columns = count_columns(self, num_classes)
        table = np.zeros((len(self), columns + 1), np.int64)
        values = self.label_map.mask_values()
        for index, summary in self._map_samples(self._summarize_mask):
            table[index] = [*summary.counts[:columns], summary.digest]
            for name, counts, colors in summary.values:
                values.add(f"{self.root}/{name}", counts, colors)
        return table, values

    def _target_key(self) -> bytes:
        return repr(self.label_map).encode()

    def _summarize_mask(self, index: int) -> MaskSummary:
        """Return the pixels per train id `(256,)`, a hash of the train ids, and the palette colors of a mask.

        Raises:
            DataError: If the mask is invalid.
        """
        path, colors = self.root / self.mask_name(index), dict[int, Color]()
        if self.mask_name(index):
            values = self.label_map.file_values(path)
            mask = self.label_map.to_train_ids(path, values)
            # only if needed, since the header of each mask is read once more
            colors = used_colors(path, values) if self.label_map.is_by_index else {}
        else:
            mask = self.mask(index)
        self.require_same_size(index, self.image_size(index), mask.shape)
        file_counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
        if self.values.voids_masks:
            mask = add_void(mask, self.image_and_missing(index)[1])
        counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
        return MaskSummary(counts, hash_ids(mask), [(self.mask_name(index), file_counts, colors)])

    def _summarize(self, errors: Sequence[DataError]) -> DataError:
        """Return one error for all invalid files; undeclared labels are added up, so that one line declares all."""
        first, more = errors[0], len(errors) - 1
        if not more or not isinstance(first, UndeclaredError):
            return super()._summarize(errors)
        same = [e for e in errors if isinstance(e, UndeclaredError) and e.is_colored == first.is_colored]
        # values of interpolated files must not be declared
        interpolated = [error for error in same if error.is_interpolated]
        exact = [error for error in same if not error.is_interpolated] or same
        pixel_counts: Counter[Key] = sum((error.pixel_counts for error in exact), Counter())
        other_masks = f" and {format_count(more, 'more file')} of this split"
        error = self.label_map.undeclared_error(exact[0].path, pixel_counts, other_masks)
        if len(exact) == len(same):
            return error
        paths = join_names([error.path for error in interpolated], 3)
        return DataError(f"{error}\nand these look interpolated; export them again as PNG: {paths}")

    def require_same_size(self, index: int, image: Sequence[int], mask: Sequence[int], name: str | None = None) -> None:
        """Check that a mask has the size of its image.

        Args:
            index: Index of the sample.
            image: Height and width of the image.
            mask: Height and width of the mask.
            name: Path of the mask within the dataset; None: that of `mask_name`.

        Raises:
            SizeError: If not.
        """
        if tuple(image) == tuple(mask):
            return
        is_transposed, path = tuple(image) == tuple(reversed(mask)), self.root / (name or self.mask_name(index))
        raise SizeError(
            f"{path}: is {mask[1]}×{mask[0]}, but its image {self.name(index)} is "
            f"{image[1]}×{image[0]} (width×height); "
            + (
                "the image's EXIF orientation may turn it: save image and mask with the same orientation"
                if is_transposed
                else "export the mask at the image's size, resized by nearest neighbor only"
            )
        )


def hash_ids(mask: npt.NDArray[np.uint8]) -> int:
    """Return a 64-bit hash of the train ids of a mask `(H, W)`, signed."""
    # the width tells apart masks of one color
    digest = xxhash.xxh3_64_digest(np.ascontiguousarray(mask).data, seed=mask.shape[1])
    return int.from_bytes(digest, "big", signed=True)
