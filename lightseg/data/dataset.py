"""What every dataset gives: samples as they are on disk, their names, and what they hold."""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from lightseg.data.transforms import Array

Counts = npt.NDArray[np.int64]


class ImageDataset(Dataset[tuple[Array, Array | int]], ABC):
    """One split: images with their masks or class ids, as they are on disk and before any augmentation.

    Holds its file names in arrays rather than in lists, so that worker processes share the memory.
    """

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
        """What to call this sample in reports: its path within the dataset, or a number."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the content, equal on every machine that holds the same data."""

    def cache_key(self) -> str:
        """A hash that changes whenever the content may have changed on this machine."""
        return self.fingerprint()

    def class_table(self, num_classes: int) -> Counts:
        """Pixels of each class in each sample, void left out, int64 `(N, num_classes)`; reads every target once.

        For classification a sample has 1 at its class.

        Raises:
            DataError: If a target cannot be used; this is how a dataset is checked before training.
        """
        table = np.zeros((len(self), num_classes), np.int64)
        for index, row in enumerate(table):
            row[:] = np.bincount(np.ravel(self[index][1]), minlength=num_classes)[:num_classes]
        return table
