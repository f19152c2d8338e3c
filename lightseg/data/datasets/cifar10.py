"""CIFAR-10: 60,000 pictures of 32×32 pixels in ten classes."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from lightseg.data.data_module import ImageDataModule, ImageDataset
from lightseg.data.datasets import cifar10_files as files
from lightseg.data.datasets.long_tail import long_tail, long_tail_counts
from lightseg.data.folds import require_alike
from lightseg.data.sample_index import mix
from lightseg.data.types import Array, ClassCounts, Split
from lightseg.errors import ConfigError

Indices = npt.NDArray[np.intp]


class CIFAR10(ImageDataModule):
    """CIFAR-10, split into 45,000 training, 5,000 validation and 10,000 test samples; long-tailed if asked.

    The validation samples are taken from the training set, equally many of each class and always the same ones,
    whatever the run's seed is. The test split is the official one.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: Folder that holds `cifar-10-batches-py/`, `cifar-10-python.tar.gz`, the folders `train/<class>/` and
            `test/<class>/` of .png or .jpg files, or one .zip of these; or such a file itself.
        val_size: Training samples that are set aside for validation.
        split_seed: Seed that decides which; the run's seed does not touch it.
        imbalance_ratio: How many times more training samples the first class has than the last; the classes between
            follow an exponential profile (Cui et al. 2019). 1: all samples. Validation and test stay balanced. Not with
            folds.
        download: Fetch the official archive into `root` where nothing is found.
        **kwargs: As in `ImageDataModule`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    kind: ClassVar[Literal["segmentation", "classification"]] = "classification"

    def __init__(
        self,
        root: str = "data/cifar10",
        val_size: int = 5000,
        split_seed: int = 0,
        imbalance_ratio: float = 1.0,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(root=root, **kwargs)
        if val_size < 1:
            raise ConfigError(f"data.val_size: {val_size} samples cannot be validated on; give 1 or more")
        # an impossible ratio is reported before any file is read
        long_tail(len(files.CLASSES), imbalance_ratio)
        require_alike(self._fold, "imbalance_ratio", alike=imbalance_ratio == 1)
        self.val_size, self.split_seed = val_size, split_seed
        self.imbalance_ratio, self.download = imbalance_ratio, download

    @property
    def classes(self) -> list[str]:
        """Return the ten classes, in alphabetical order."""
        return list(files.CLASSES)

    def pixel_stats(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and standard deviation of the training set's pixels per channel, on the 0..1 scale."""
        return (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

    def prepare_data(self) -> None:
        """Fetch the archive if asked to, and decode the set once for all processes of this machine.

        Raises:
            DataError: If the set is not there, or is damaged.
        """
        root = Path(self.root)
        source = files.locate(root) if self.download else None
        # an archive that is there may be the rest of a download that broke off
        if self.download and (source is None or source.path == root / files.ARCHIVE):
            files.download(root)
        _ = self._table

    def make_dataset(self, split: Split) -> ImageDataset:
        """Return the samples of one split.

        Raises:
            ConfigError: If `val_size` leaves no training samples.
            DataError: If the set is not there, or is damaged.
        """
        if split == "test":
            return _Records(self._table, np.flatnonzero(~self._table["train"]))
        return _Records(self._table, self._train_and_val[split == "val"])

    @functools.cached_property
    def _table(self) -> files.Table:
        return files.load(Path(self.root))

    @functools.cached_property
    def _train_and_val(self) -> tuple[Indices, Indices]:
        """Return which samples are trained on, and which validated on: the long tail thins the former alone."""
        candidates = np.flatnonzero(self._table["train"])
        if self.val_size >= len(candidates):
            raise ConfigError(f"data.val_size: {self.val_size} leaves none of the {len(candidates)} training samples")
        labels = self._table["label"][candidates]
        available = np.bincount(labels, minlength=self.num_classes)
        set_aside = _apportion(self.val_size, available)
        remain = available - set_aside
        sizes = np.minimum(remain, long_tail_counts(int(remain.max()), self.num_classes, self.imbalance_ratio))
        train, val = [], []
        for label in range(self.num_classes):
            shuffled = np.random.default_rng(mix(self.split_seed, label)).permutation(candidates[labels == label])
            val.append(shuffled[: set_aside[label]])
            train.append(shuffled[set_aside[label] :][: sizes[label]])
        return np.sort(np.concatenate(train)), np.sort(np.concatenate(val))


class _Records(ImageDataset):
    """Some of the table's records."""

    def __init__(self, table: files.Table, indices: Indices) -> None:
        self._table, self._indices = table, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Array, int]:
        record = self._table[self._indices[index]]
        # a copy: the table is mapped from a file and cannot be written
        return np.array(record["image"]), int(record["label"])

    def name(self, index: int) -> str:
        return bytes(self._table["name"][self._indices[index]]).decode()

    def fingerprint(self) -> str:
        return self._digest

    def class_table(self, num_classes: int) -> ClassCounts:
        table: ClassCounts = np.eye(num_classes, dtype=np.int64)[self._table["label"][self._indices]]
        return table

    @functools.cached_property
    def _digest(self) -> str:
        content = hashlib.sha256(self._table["label"][self._indices].tobytes())
        for start in range(0, len(self), 1000):
            content.update(self._table["image"][self._indices[start : start + 1000]].tobytes())
        return content.hexdigest()


def _apportion(seats: int, sizes: ClassCounts) -> ClassCounts:
    """Share `seats` among classes in proportion to their sizes, by the largest remainders."""
    exact = seats * sizes / sizes.sum()
    shares: ClassCounts = exact.astype(np.int64)
    # stable, so that equal remainders go to the first classes
    rest = np.argsort(shares - exact, kind="stable")[: seats - shares.sum()]
    shares[rest] += 1
    return shares
