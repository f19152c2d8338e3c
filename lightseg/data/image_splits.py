"""Splits of a data set: their datasets, folds, class counts and fingerprints."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import lightning as L
import numpy as np

from lightseg.data.dataset import ImageDataset, cached_label_table, require_dataset, require_valid
from lightseg.data.folds import parse_fold, pool_datasets, split_by_fold
from lightseg.data.io.image_values import AS_STORED, ImageValues
from lightseg.data.io.mask_consistency import MaskValues, merge_values
from lightseg.data.palette import default_palette
from lightseg.data.types import SPLITS, ClassCounts, Kind, Split
from lightseg.errors import DataError, require
from lightseg.files.atomic import expand_home
from lightseg.runs.fingerprint import add_labels

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageSplits(L.LightningDataModule, ABC):
    """Splits of a data set, without loaders; a subclass defines `classes` and `make_dataset`.

    Args:
        root: Folder of the data.
        folds: Number of folds for cross-validation, over the pooled `train` and `val` splits.
        fold: Index of the fold used as `val`.

    Attributes:
        kind: What the targets are, which a subclass states: `segmentation`, masks, or `classification`, class ids.
        multilabel: Whether classes may overlap, which a subclass states: the target has a channel of 0, 1 and `IGNORE`
            (void) for each class, in masks `(H, W, K)` or labels `(K,)`. Its datasets have the same attribute.
        split_seed: Seed of the folds, which all runs share.
        deals_folds: Whether `train` and `val` are pooled and divided into folds, which never splits a group.
    """

    kind: ClassVar[Kind] = "segmentation"
    multilabel: bool = False
    in_channels: int = 3
    image_values: ImageValues = AS_STORED
    split_seed: int = 0

    def __init__(self, root: str, folds: int | None = None, fold: int | None = None) -> None:
        super().__init__()
        # jsonargparse does not check the type of an option that a subclass passes on
        require(root is not None, "data.root: null is not a folder; give one, or leave it out")
        self.root = expand_home(root)
        self.deals_folds, self._fold = folds is not None, parse_fold(folds, fold)
        self._parts: dict[Split, ImageDataset] = {}
        self._datasets: dict[Split, ImageDataset] = {}

    # ---- defined by subclasses -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """Class names in the order of their ids, available without reading any data."""

    @abstractmethod
    def make_dataset(self, split: Split) -> ImageDataset:
        """Return the dataset of a split; may be empty for `test`.

        Raises:
            DataError: If the files are missing; the message names the expected path.
        """

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """RGB color of each class, for pictures; of classes that may overlap, none is the black of a background."""
        return default_palette(len(self.classes) + 1)[1:] if self.multilabel else default_palette(len(self.classes))

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Return the group (sequence, patient, …) of each sample, from their names; folds never split a group."""
        return names

    def pixel_stats(self) -> tuple[Sequence[float], Sequence[float]]:
        """Return the mean and standard deviation per channel on the 0..1 scale; ImageNet's unless overridden."""
        if self.in_channels == len(IMAGENET_MEAN):
            return IMAGENET_MEAN, IMAGENET_STD
        return [0.5] * self.in_channels, [0.25] * self.in_channels

    # ---- common to all data sets -----------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        """Number of classes, void excluded."""
        return len(self.classes)

    def dataset(self, split: Split) -> ImageDataset:
        """Return the dataset of a split, created once."""
        if split not in self._datasets:
            if self._fold is None or split == "test":
                self._datasets[split] = self._part(split)
            else:
                parts = [self._part("train"), self._part("val")]
                train, val = split_by_fold(parts, self.num_classes, self.groups, self._fold, self.split_seed)
                self._datasets |= {"train": train, "val": val}
        return self._datasets[split]

    def replace_parts(self, parts: Mapping[Split, ImageDataset]) -> None:
        """Replace the datasets of splits, before the division into folds, by others with the same samples."""
        self._parts |= parts
        for split in parts:
            self._datasets.pop(split, None)

    def _part(self, split: Split) -> ImageDataset:
        """Return the dataset of a split before the division into folds."""
        if split not in self._parts:
            self._parts[split] = require_dataset(self.make_dataset(split), f"{type(self).__name__}.make_dataset")
        return self._parts[split]

    def class_counts(self, split: Split = "train") -> ClassCounts:
        """Return the pixels (or samples) per class of a split, `(num_classes,)` int64."""
        counts: ClassCounts = self.class_table(split).sum(0)
        return counts

    def class_extents(self, split: Split = "train") -> ClassCounts:
        """Return, per class, the number of valid pixels of all samples that hold it, `(num_classes,)` int64."""
        table, truth = self.class_table(split), self.truth_table(split)
        # valid pixels are the same for all classes, unless classes may overlap
        valid = truth.sum(2) if self.multilabel else truth.sum(1, keepdims=True)
        extents: ClassCounts = (valid * (table > 0)).sum(0)
        return extents

    def class_table(self, split: Split = "train") -> ClassCounts:
        """Return the pixels per sample and class of a split, `(N, num_classes)` int64, read-only and cached on disk."""
        return cached_label_table(self.dataset(split), self.num_classes)[:, : self.num_classes]

    def truth_table(self, split: Split = "train") -> ClassCounts:
        """Return every valid pixel of a split by its truth, as scores count it.

        Returns:
            `class_table`; of multi-label data, the pixels of each sample without and with each class,
            `(N, num_classes, 2)` int64.
        """
        if not self.multilabel:
            return self.class_table(split)
        table = cached_label_table(self.dataset(split), self.num_classes)
        positives, negatives = table[:, : self.num_classes], table[:, self.num_classes : -1]
        return np.stack([negatives, positives], axis=2)

    def check(self) -> dict[Split, ClassCounts]:
        """Read every target of every split once, before training, to find unusable files.

        Returns:
            `class_counts` of each split that is not empty.

        Raises:
            DataError: If a split is missing, is all void, a target cannot be used, or masks contradict each other.
        """
        counts: dict[Split, ClassCounts] = {}
        for split in SPLITS:
            if not len(self.dataset(split)) and split != "test":
                raise DataError(f"{self.root}: the {split} split of {type(self).__name__} is empty")
            if len(self.dataset(split)):
                counts[split] = self.class_counts(split)
                require_valid(self.truth_table(split), self.root, split)
        self.mask_values()
        return counts

    def mask_values(self, splits: Sequence[Split] = SPLITS) -> MaskValues | None:
        """Return the values that the mask files of splits use, and check that they mean the same in all of them.

        Returns:
            The values; None without mask files.

        Raises:
            DataError: If masks contradict each other.
        """
        # each fold has samples of both
        pooled = ("train", "val") if self._fold is not None and {"train", "val"} & {*splits} else ()
        parts = (self._part(split) for split in SPLITS if split in {*splits, *pooled})
        return merge_values(values for part in parts if len(part) and (values := part.mask_values()) is not None)

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of samples and the fingerprint of every split, to identify the data of a run.

        With folds, `pool` describes the pooled samples, which are the same for all runs of a cross-validation.
        """
        splits: dict[str, Any] = {
            split: {"samples": len(self.dataset(split)), "sha256": self.split_fingerprint(split)} for split in SPLITS
        }
        if self._fold is None:
            return splits
        pool = pool_datasets([self._part("train"), self._part("val")], self.num_classes)
        pool_hash = add_labels(pool.fingerprint(), pool.label_table(self.num_classes), pool.image_digest())
        return {**splits, "pool": {"samples": len(pool), "sha256": pool_hash}}

    def split_fingerprint(self, split: Split) -> str:
        """Return the fingerprint of a split's content and labels; see `lightseg.runs.fingerprint`."""
        dataset = self.dataset(split)
        # first, since it lists the files again: the table must describe the same files
        content = dataset.fingerprint()
        shape = (0, self.num_classes + 1)
        table = cached_label_table(dataset, self.num_classes) if len(dataset) else np.zeros(shape, np.int64)
        return add_labels(content, table, dataset.image_digest())
