"""Classification dataset of image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.io.image_files import normal_name
from lightseg.data.io.image_values import AS_STORED, ImageValues
from lightseg.data.types import Array, ClassCounts


class LabeledImage(NamedTuple):
    """Image, as a path relative to the root, and its class id; or 0, 1 or `IGNORE` for each class that may overlap."""

    image: str
    label: int | tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the path of the image, in Unicode's normal form C."""
        return normal_name(self.image)


class LabelDataset(FileDataset):
    """Dataset of images with a class id each, or with labels of classes that may overlap.

    Args:
        root: Folder to which the paths are relative.
        samples: The images and their class ids, or labels.
        channels: Channels of an image.
        values: Bands, range and nodata value of the images, where the files do not define them.
        labels: Number of labels of each image; None for a class id.
    """

    decodes = True

    def __init__(
        self,
        root: Path | str,
        samples: Sequence[LabeledImage],
        channels: int = 3,
        values: ImageValues = AS_STORED,
        labels: int | None = None,
    ) -> None:
        super().__init__(root, [sample.image for sample in samples], (), channels, values)
        self.multilabel = labels is not None
        shape = (len(samples),) if labels is None else (len(samples), labels)
        self._label_ids = np.array([sample.label for sample in samples], np.uint8).reshape(shape)

    @property
    def label_ids(self) -> npt.NDArray[np.uint8]:
        """Return the class id of each sample, `(N,)`, or its labels, `(N, K)`."""
        return self._label_ids

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        label = self._label_ids[index]
        return self.image(index), label.copy() if self.multilabel else int(label)

    def class_table(self, num_classes: int) -> ClassCounts:
        """Return 1 at the class of each sample, as every dataset; every header is read, in parallel.

        Raises:
            DataError: If an image is missing or broken; the message describes the first one and counts the others.
        """
        for _ in self._map_samples(self.image_size):
            pass
        if self.multilabel:
            return np.concatenate([self._label_ids == 1, self._label_ids == 0], axis=1).astype(np.int64)
        table: ClassCounts = np.eye(num_classes, dtype=np.int64)[self._label_ids]
        return table

    def subset(self, indices: npt.NDArray[np.intp]) -> Self:
        """Return a dataset of the samples with these indices, `(M,)`."""
        subset = super().subset(indices)
        subset._label_ids = self._label_ids[indices]
        return subset

    def _target_key(self) -> bytes:
        return self._labels()

    def _labels(self) -> bytes:
        return self._label_ids.tobytes()
