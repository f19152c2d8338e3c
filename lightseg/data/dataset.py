"""Base class of the datasets: samples as stored on disk, their names, fingerprints and class counts."""

import contextlib
import functools
import hashlib
from abc import ABC, abstractmethod
from importlib import metadata
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from lightseg.data.io.mask_consistency import MaskValues
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import ConfigError, DataError
from lightseg.files.disk_cache import cached_array
from lightseg.files.source_digest import source_digest

_SOURCES = ("data/annotations", "data/datasets", "data/io", "data/dataset.py")
"""Modules whose source may affect images and targets."""

_DECODERS = ("imagecodecs", "opencv-python", "opencv-python-headless", "pillow", "tifffile")
"""Packages whose version may affect the decoded pixels."""


class ImageDataset(Dataset[tuple[Array, Array | int]], ABC):
    """Images of one split with their targets, as stored on disk and before any augmentation.

    Subclasses should hold file names in arrays rather than in lists, so that worker processes share the memory.

    Attributes:
        decodes: Whether a sample depends on nothing but its files, so that its decoded pixels may be cached
            (`data.cache_gb`); `cache_key` must then change with the files. Not inherited: set it in each class.
        multilabel: Whether classes may overlap; see `ImageDataModule.multilabel`.
    """

    decodes: ClassVar[bool] = False
    multilabel: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        """Return a sample.

        Returns:
            The image `(H, W, C)`, uint8 or float32 in 0..1, and its mask `(H, W)` uint8 of class ids and `IGNORE`, or
            its class id; of multi-label data, a mask `(H, W, K)` or labels `(K,)`, uint8 of 0, 1 and `IGNORE`.

        Raises:
            DataError: If the file is broken; the message names it.
        """

    @abstractmethod
    def name(self, index: int) -> str:
        """Return the sample's name for reports and messages: its path within the dataset, or a number."""

    def is_turned_alone(self, index: int) -> bool:  # noqa: ARG002
        """Return whether EXIF rotates the image but not its mask, or the mask but not the image."""
        return False

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of the content, equal on every machine with the same data."""

    def image_digest(self) -> bytes:
        """Return a hash of the pixels of images that `fingerprint` may miss, equal on every machine; empty if none."""
        return b""

    def cache_key(self) -> str:
        """Return a hash that changes whenever the content may have changed on this machine."""
        return self.fingerprint()

    def class_table(self, num_classes: int) -> ClassCounts:
        """Read every target once and return the pixels of each class in each sample, void excluded.

        Datasets are checked before training by this.

        Args:
            num_classes: Number of classes C.

        Returns:
            Pixels, `(N, C)` int64; for classification, 1 at the class of each sample. Of multi-label data, `(N, 2C)`:
            the pixels that have each class, then those that lack it.

        Raises:
            DataError: If a target cannot be used.
        """
        table = np.zeros((len(self), count_columns(self, num_classes)), np.int64)
        for index, row in enumerate(table):
            row[:] = count_classes(self[index][1], num_classes, self.multilabel)
        return table

    def label_table(self, num_classes: int) -> ClassCounts:
        """Return `class_table` with one more column, a hash of each target, int64.

        The hash is 0 unless overridden: a dataset whose `fingerprint` covers its targets needs none.
        """
        return np.pad(self.class_table(num_classes), ((0, 0), (0, 1)))

    def mask_values(self) -> MaskValues | None:
        """Return the values that the mask files use, so that those of two splits are compared; None without files."""
        return None

    def subset(self, indices: npt.NDArray[np.intp]) -> "ImageDataset":
        """Return a subset, `indices` `(M,)`; unless overridden, its fingerprint depends on the whole dataset's."""
        return _Subset(self, indices)


def require_dataset(value: object, function: str) -> ImageDataset:
    """Check that user code returned a dataset.

    Args:
        value: The returned value.
        function: Name of the function that returned it, for the message.

    Returns:
        The value.

    Raises:
        ConfigError: If it is not an `ImageDataset`.
    """
    if not isinstance(value, ImageDataset):
        raise ConfigError(
            f"{function}: must return a lightseg.data.ImageDataset, got {type(value).__name__}; "
            "implement __len__, __getitem__, name and fingerprint"
        )
    return value


def require_valid(counts: ClassCounts, root: str, split: str) -> None:
    """Check that a split has a valid pixel, so that there is something to learn or to score.

    Args:
        counts: Numbers of valid pixels, int64 of any shape.
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


def count_columns(dataset: ImageDataset, num_classes: int) -> int:
    """Return the number of columns of `ImageDataset.class_table`."""
    return 2 * num_classes if dataset.multilabel else num_classes


def count_classes(target: Array | int, num_classes: int, multilabel: bool) -> ClassCounts:
    """Return the row of a target in `ImageDataset.class_table`.

    Args:
        target: The target, as a dataset returns it.
        num_classes: Number of classes.
        multilabel: Whether classes may overlap.
    """
    if not multilabel:
        return np.bincount(np.ravel(target), minlength=num_classes)[:num_classes]
    labels = np.reshape(target, (-1, num_classes))
    return np.concatenate([np.count_nonzero(labels == value, axis=0) for value in (1, 0)])


def versioned_key(dataset: ImageDataset) -> str:
    """Return a hash for cached results, which changes with a dataset's content and with the code that reads it."""
    key_parts = [dataset.cache_key(), source_digest(*_SOURCES), *_decoder_versions()]
    return hashlib.sha256("\0".join(key_parts).encode()).hexdigest()


@functools.cache
def _decoder_versions() -> tuple[str, ...]:
    """Return names and versions of the installed packages that decode images; each look costs a millisecond."""
    versions = []
    for package in _DECODERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return tuple(versions)


def cached_label_table(dataset: ImageDataset, num_classes: int) -> ClassCounts:
    """Return `ImageDataset.label_table`, int64, read-only and cached on disk."""
    key = f"label-table-{versioned_key(dataset)}-{num_classes}"
    shape = (len(dataset), count_columns(dataset, num_classes) + 1)
    return cached_array(key, lambda: dataset.label_table(num_classes), shape)


class _Subset(ImageDataset):
    def __init__(self, dataset: ImageDataset, indices: npt.NDArray[np.intp]) -> None:
        self._dataset, self._indices, self.multilabel = dataset, indices, dataset.multilabel

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        return self._dataset[int(self._indices[index])]

    def name(self, index: int) -> str:
        return self._dataset.name(int(self._indices[index]))

    def is_turned_alone(self, index: int) -> bool:
        return self._dataset.is_turned_alone(int(self._indices[index]))

    def fingerprint(self) -> str:
        return self._hash(self._dataset.fingerprint())

    def image_digest(self) -> bytes:
        return self._dataset.image_digest()

    def cache_key(self) -> str:
        return self._hash(self._dataset.cache_key())

    def _hash(self, digest: str) -> str:
        names = (self.name(index) for index in range(len(self)))
        return hashlib.sha256("\0".join([digest, *names]).encode()).hexdigest()
