"""Segmentation dataset of image files and annotated objects, which are drawn when a sample is read."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from lightseg.data.annotations.drawing import AnnotationSummary, Drawing
from lightseg.data.annotations.images import AnnotatedImage, read_content
from lightseg.data.annotations.objects import Size
from lightseg.data.dataset import count_classes, count_columns
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.datasets.mask_dataset import hash_ids
from lightseg.data.io.image_values import AS_STORED, ImageValues, add_void
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import DataError


class AnnotatedDataset(FileDataset):
    """Dataset of images whose objects are annotated by outlines.

    Args:
        root: Folder to which the paths are relative.
        images: The images with their annotations.
        source: File of annotations, for messages.
        drawing: Rules by which annotations become masks.
        channels: Channels of an image.
        values: Bands, range and nodata value of the images, where the files do not define them; masks are void where
            an image has no data.
    """

    decodes = True

    def __init__(
        self,
        root: Path | str,
        images: Sequence[AnnotatedImage],
        source: Path,
        drawing: Drawing,
        channels: int = 3,
        values: ImageValues = AS_STORED,
    ) -> None:
        super().__init__(root, [image.image for image in images], [[image.file for image in images]], channels, values)
        self.drawing, self._source, self.multilabel = drawing, source, drawing.multilabel
        contents = [image.content for image in images]
        # one array, whose memory worker processes share
        self._contents = np.frombuffer(b"".join(contents), np.uint8)
        ends = np.cumsum([0, *map(len, contents)])
        self._spans = np.stack([ends[:-1], ends[1:]], 1)
        self._is_annotated = np.array([image.is_annotated for image in images], np.bool_)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        image, is_missing = self.image_and_missing(index)
        return image, add_void(self._draw(index, (image.shape[0], image.shape[1])), is_missing)

    def mask(self, index: int) -> npt.NDArray[np.uint8]:
        """Draw the mask alone, `(H, W)`, or `(H, W, K)` of classes that may overlap."""
        mask = self._draw(index, self.image_size(index))
        return add_void(mask, self.image_and_missing(index)[1]) if self.values.voids_masks else mask

    def class_table(self, num_classes: int) -> ClassCounts:
        """Count the pixels of each class, as every dataset; see `label_table`."""
        return self.label_table(num_classes)[:, :-1]

    def label_table(self, num_classes: int) -> ClassCounts:
        """Return `class_table` with one more column, a hash of each mask, int64.

        Every annotation and image header is read, in parallel.

        Raises:
            DataError: If any annotation is invalid; the message describes the first one and counts the others.
        """
        table = np.zeros((len(self), count_columns(self, num_classes) + 1), np.int64)
        for index, mask in self._map_samples(self.mask):
            table[index] = [*count_classes(mask, num_classes, self.multilabel), hash_ids(mask)]
        return table

    def subset(self, indices: npt.NDArray[np.intp]) -> Self:
        """Return a dataset of the samples with these indices, `(M,)`."""
        subset = super().subset(indices)
        subset._spans, subset._is_annotated = self._spans[indices], self._is_annotated[indices]
        return subset

    def summarize_annotation(self, index: int, size: Size) -> AnnotationSummary:
        """Return facts about the annotation of an image of a size.

        Raises:
            DataError: If it is invalid.
        """
        if not self._is_annotated[index]:
            return AnnotationSummary(False, [], Counter())
        content, place = self._read(index)
        return self.drawing.summarize(content, size, place)

    def object_labels(self) -> set[int]:
        """Return the ids of the classes of all objects, void included; damaged annotations are left out."""
        return {label for _, labels in self._map_samples(self._object_labels) for label in labels}

    def _object_labels(self, index: int) -> set[int]:
        """Return the ids of the classes of an image's objects; none of a damaged annotation."""
        if not self._is_annotated[index]:
            return set()
        with suppress(DataError):
            record = self.drawing.format.parse(*self._read(index))
            return {self.drawing.ids[item.name] for item in record.objects if item.name in self.drawing.ids}
        return set()

    def _draw(self, index: int, size: Size) -> npt.NDArray[np.uint8]:
        if not self._is_annotated[index]:
            return self.drawing.paint([], size)
        content, place = self._read(index)
        return self.drawing.draw(content, size, place)

    def _read(self, index: int) -> tuple[bytes, str]:
        """Return the annotation of an image, as it is stored, and file and image for messages."""
        file = str(self._files[1][index])
        if file:
            return read_content(self.root / file), str(self.root / file)
        return self._content(index), f"{self._source}: {self.name(index)}"

    def _content(self, index: int) -> bytes:
        start, end = self._spans[index]
        return self._contents[start:end].tobytes()

    def _target_key(self) -> bytes:
        digest = hashlib.sha256(f"{self.drawing}\0{self._is_annotated.tolist()}".encode())
        for index in range(len(self)):
            digest.update(hashlib.sha256(self._content(index)).digest())
        return digest.digest()
