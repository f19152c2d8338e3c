"""Base of all datasets: samples as they are on disk, their names and their classes."""

import hashlib
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from lightseg.data.io.disk_cache import cached_array
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import ConfigError, DataError


class ImageDataset(Dataset[tuple[Array, Array | int]], ABC):
    """Split of images with their masks or class ids, as they are on disk and before any augmentation.

    Holds its file names in arrays rather than in lists, so that worker processes share the memory.

    Attributes:
        decodes: Whether a sample is decoded from files and from nothing else, so that training may keep its pixels
            (`data.cache_gb`); `cache_key` must then change with them. A derived class has to say so anew.
    """

    decodes: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        """Image `(H, W, C)` uint8 or float32 in 0..1, and mask `(H, W)` uint8 of class ids and `IGNORE`, or a class id.

        Raises:
            DataError: If the file is broken; the message names it.
        """

    @abstractmethod
    def name(self, index: int) -> str:
        """Return what to call this sample in reports: its path within the dataset, or a number."""

    def is_turned_alone(self, index: int) -> bool:  # noqa: ARG002
        """Return whether a file says that the image is to be turned and its mask is not, or the other way."""
        return False

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of the content, equal on every machine that holds the same data."""

    def cache_key(self) -> str:
        """Return a hash that changes whenever the content may have changed on this machine."""
        return self.fingerprint()

    def class_table(self, num_classes: int) -> ClassCounts:
        """Pixels of each class in each sample, void left out, int64 `(N, num_classes)`; reads every target once.

        For classification a sample has 1 at its class.

        Raises:
            DataError: If a target cannot be used; this is how a dataset is checked before training.
        """
        table = np.zeros((len(self), num_classes), np.int64)
        for index, row in enumerate(table):
            row[:] = np.bincount(np.ravel(self[index][1]), minlength=num_classes)[:num_classes]
        return table

    def subset(self, indices: npt.NDArray[np.intp]) -> "ImageDataset":
        """Some of the samples; their fingerprint changes with the content of all, unless a dataset knows better."""
        return _Subset(self, indices)


def require_dataset(value: object, maker: str) -> ImageDataset:
    """See that what a user's code has made is a dataset; `maker` names that code.

    Raises:
        ConfigError: If not.
    """
    if not isinstance(value, ImageDataset):
        raise ConfigError(
            f"{maker} gave a {type(value).__name__}; it must give a "
            "lightseg.data.ImageDataset: __len__, __getitem__, name and fingerprint"
        )
    return value


def require_valid(counts: ClassCounts, root: str, split: str) -> None:
    """See that a split holds a class at all, so that there is something to learn from it, or to score.

    Args:
        counts: Pixels of each class, of all samples or of each.
        root: The folder of the data.
        split: Name of the split.

    Raises:
        DataError: If all of it is void.
    """
    if not counts.any():
        raise DataError(
            f"{root}: {split} has no valid pixel: all is void, and there is nothing to learn or to score "
            "(of a folder of masks, data.ignore and data.values say what is void)"
        )


def cached_class_table(dataset: ImageDataset, num_classes: int) -> ClassCounts:
    """`ImageDataset.class_table`, read once, then cached on this machine. Not to be written to."""
    key = f"class-table-{dataset.cache_key()}-{num_classes}"
    return cached_array(key, lambda: dataset.class_table(num_classes), (len(dataset), num_classes))


class _Subset(ImageDataset):
    def __init__(self, dataset: ImageDataset, indices: npt.NDArray[np.intp]) -> None:
        self._whole, self._indices = dataset, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        return self._whole[int(self._indices[index])]

    def name(self, index: int) -> str:
        return self._whole.name(int(self._indices[index]))

    def is_turned_alone(self, index: int) -> bool:
        return self._whole.is_turned_alone(int(self._indices[index]))

    def fingerprint(self) -> str:
        return self._hash(self._whole.fingerprint())

    def cache_key(self) -> str:
        return self._hash(self._whole.cache_key())

    def _hash(self, dataset_hash: str) -> str:
        names = (self.name(index) for index in range(len(self)))
        return hashlib.sha256("\0".join([dataset_hash, *names]).encode()).hexdigest()
