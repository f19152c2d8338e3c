"""CIFAR-10: 60,000 images of 32×32 pixels in ten classes."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets import cifar10_files as files
from lightseg.data.datasets.long_tail import long_tail, long_tail_counts
from lightseg.data.folds import require_alike
from lightseg.data.sample_index import mix
from lightseg.data.types import Array, ClassCounts, Indices, Kind, Split
from lightseg.errors import ConfigError


class CIFAR10(ImageDataModule):
    """CIFAR-10, split into 45,000 training, 5,000 validation and 10,000 test samples; optionally long-tailed.

    The validation samples are part of the training set, equally many of each class, and independent of the run's seed.
    The test split is the official one.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: Folder that holds `cifar-10-batches-py/`, `cifar-10-python.tar.gz`, the folders `train/<class>/` and
            `test/<class>/` of .png or .jpg files, or one .zip of these; or the path of such a file.
        val_size: Training samples that are held out for validation, at least 1.
        split_seed: Seed of the choice of validation samples; independent of the run's seed.
        imbalance_ratio: Training samples of the first class over those of the last; the classes between follow an
            exponential profile (Cui et al. 2019). 1: all samples. Validation and test stay balanced. Not with folds.
        download: Download the official archive into `root` if `root` holds no CIFAR-10.
        **kwargs: As in `ImageDataModule`.

    Raises:
        ConfigError: If a value is outside its range.
    """

    kind: ClassVar[Kind] = "classification"

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
            raise ConfigError(f"data.val_size: must be 1 or more, got {val_size}")
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
        """Return mean and standard deviation of the training pixels per channel, on the 0..1 scale."""
        return (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

    def prepare_data(self) -> None:
        """Download the archive if `download` is set, and decode the samples once for all processes of this machine.

        Raises:
            DataError: If the data are missing or damaged.
        """
        root = Path(self.root)
        source = files.locate(root) if self.download else None
        # an existing archive may be an incomplete download
        if self.download and (source is None or source.path == root / files.ARCHIVE):
            files.download(root)
        _ = self._table

    def make_dataset(self, split: Split) -> ImageDataset:
        """Return the samples of one split.

        Raises:
            ConfigError: If `val_size` leaves no training samples.
            DataError: If the data are missing or damaged.
        """
        if split == "test":
            return _TableDataset(self._table, np.flatnonzero(~self._table["train"]))
        return _TableDataset(self._table, self._train_and_val[split == "val"])

    @functools.cached_property
    def _table(self) -> files.SampleTable:
        return files.load(Path(self.root))

    @functools.cached_property
    def _train_and_val(self) -> tuple[Indices, Indices]:
        """Return the indices of the training and the validation samples; only the former are long-tailed."""
        candidates = np.flatnonzero(self._table["train"])
        if self.val_size >= len(candidates):
            raise ConfigError(f"data.val_size: {self.val_size} leaves none of the {len(candidates)} training samples")
        labels = self._table["label"][candidates]
        available = np.bincount(labels, minlength=self.num_classes)
        val_counts = _apportion(self.val_size, available)
        remaining = available - val_counts
        train_counts = np.minimum(
            remaining, long_tail_counts(int(remaining.max()), self.num_classes, self.imbalance_ratio)
        )
        train, val = [], []
        for label in range(self.num_classes):
            shuffled = np.random.default_rng(mix(self.split_seed, label)).permutation(candidates[labels == label])
            val.append(shuffled[: val_counts[label]])
            train.append(shuffled[val_counts[label] :][: train_counts[label]])
        return np.sort(np.concatenate(train)), np.sort(np.concatenate(val))


class _TableDataset(ImageDataset):
    """Dataset of some rows of the sample table."""

    def __init__(self, table: files.SampleTable, indices: Indices) -> None:
        self._table, self._indices = table, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Array, int]:
        record = self._table[self._indices[index]]
        # a copy, since the table is a read-only mapped file
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


def _apportion(total: int, sizes: ClassCounts) -> ClassCounts:
    """Divide `total` samples among classes in proportion to their sizes `(C,)`, by largest remainders."""
    quotas = total * sizes / sizes.sum()
    counts: ClassCounts = quotas.astype(np.int64)
    # stable, so that equal remainders go to the first classes
    rounded_up = np.argsort(counts - quotas, kind="stable")[: total - counts.sum()]
    counts[rounded_up] += 1
    return counts
