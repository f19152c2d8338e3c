"""Segmentation dataset of image files and a mask for each class, where classes may overlap."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightseg.data.dataset import count_classes
from lightseg.data.datasets.mask_dataset import MaskDataset, MaskSummary, hash_ids
from lightseg.data.io.image_values import AS_STORED, ImageValues, add_void
from lightseg.data.io.pairing import Pair
from lightseg.data.io.presence_map import PresenceMap
from lightseg.data.types import Array, ClassCounts
from lightseg.labels import IGNORE, Color


class MultilabelMaskDataset(MaskDataset):
    """Dataset of images and masks `(H, W, C)` of 0, 1 and `IGNORE`, from a file for each class or one file for all.

    Args:
        root: Folder to which the paths are relative.
        pairs: Samples; with a file for each class, an empty path is that of a class without one.
        presence_map: Lookup from file values to absent, present and void.
        num_classes: Number of classes C.
        has_channels: Whether one file has a channel, or a page, for each class.
        absent_value: Value of the pixels of a class without a file: 0 or `IGNORE`.
        channels: Channels of an image.
        values: Bands, range and nodata value of the images, where the files do not define them; masks are void where
            an image has no data.
    """

    decodes = True
    multilabel = True
    label_map: PresenceMap

    def __init__(
        self,
        root: Path | str,
        pairs: Sequence[Pair],
        presence_map: PresenceMap,
        num_classes: int,
        has_channels: bool = False,
        absent_value: int = 0,
        channels: int = 3,
        values: ImageValues = AS_STORED,
    ) -> None:
        super().__init__(root, pairs, presence_map, channels, values)
        self.num_classes, self._has_channels, self._absent_value = num_classes, has_channels, absent_value
        if not has_channels:
            self._files += [np.array([pair.more[i] for pair in pairs], np.str_) for i in range(num_classes - 1)]

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        image, is_missing = self.image_and_missing(index)
        return image, add_void(self._read_mask(index, image.shape[:2])[0], is_missing)

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """Read the mask alone, `(H, W, C)`."""
        return self._read_mask(index, self.image_size(index))[0]

    def file_values(self, path: Path | str) -> Array:
        """Read a mask file as its values `(H, W)`; several channels lie below each other."""
        if not self._has_channels:
            return super().file_values(path)
        values = self.label_map.channel_values(path, self.num_classes)
        return np.concatenate(list(np.moveaxis(values, -1, 0)))

    def mask_name(self, index: int) -> str:
        """Return the path of the mask's first file within the dataset; empty if there is none."""
        return next(iter(self.mask_names(index)), "")

    def _target_key(self) -> bytes:
        return f"{self.label_map} {self.num_classes} {self._has_channels} {self._absent_value}".encode()

    def _summarize_mask(self, index: int) -> MaskSummary:
        """Return the pixels where each class is present, a hash of the mask, and the values that its files use.

        Raises:
            DataError: If a file is invalid.
        """
        mask, files = self._read_mask(index, self.image_size(index))
        if self.values.voids_masks:
            mask = add_void(mask, self.image_and_missing(index)[1])
        values_by_file = [(name, _count_values(values), dict[int, Color]()) for name, values in files]
        return MaskSummary(count_classes(mask, self.num_classes, multilabel=True), hash_ids(mask), values_by_file)

    def _read_mask(self, index: int, size: Sequence[int]) -> tuple[npt.NDArray[np.uint8], list[tuple[str, Array]]]:
        """Return the mask `(H, W, C)`, and the path and the values of each of its files.

        Args:
            index: Index of the sample.
            size: Height and width of the image.

        Raises:
            DataError: If a file is invalid or has another size.
        """
        mask = np.full((*size, self.num_classes), self._absent_value, np.uint8)
        values_by_file = []
        for label, files in enumerate(self._files[1:]):
            name = str(files[index])
            if not name:
                continue
            path = self.root / name
            if self._has_channels:
                values = self.label_map.channel_values(path, self.num_classes)
                plane, shape = mask.reshape(size[0], -1), (len(values), -1)
            else:
                values = self.label_map.file_values(path)
                plane, shape = mask[..., label], values.shape
            self.require_same_size(index, size, values.shape[:2], name)
            plane[:] = self.label_map.to_train_ids(path, values.reshape(shape))
            values_by_file.append((name, values))
        return mask, values_by_file


def _count_values(values: Array) -> ClassCounts:
    """Return the pixels of the values 0, 1 and 255, by which masks of different meaning are told apart, `(256,)`."""
    counts = np.zeros(IGNORE + 1, np.int64)
    for value in (0, 1, IGNORE):
        counts[value] = np.count_nonzero(values == value)
    return counts
