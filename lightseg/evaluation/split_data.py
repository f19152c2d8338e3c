"""Split of any data as the test split of a data module of its own, which Lightning scores."""

from contextlib import suppress
from pathlib import Path
from typing import Literal

from lightseg.data import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.folds import pool_datasets
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError

Name = Literal["train", "val", "test", "all"]


class SplitData(ImageDataModule):
    """Split of a data module, or all of them together, as `test`, without sampling and augmentation.

    Args:
        data: The data.
        name: Name of the split, or `all`.

    Raises:
        DataError: If it is empty, or a target is invalid.
    """

    def __init__(self, data: ImageDataModule, name: Name) -> None:
        super().__init__(data.root, data.batch_size, data.num_workers)
        self._data, self._name, self.in_channels, self.multilabel = data, name, data.in_channels, data.multilabel
        self._eval_transform = data._eval_transform
        splits: tuple[Split, ...] = SPLITS if name == "all" else (name,)
        datasets = {split: dataset for split in splits if len(dataset := data.dataset(split))}
        if not datasets:
            subject = "every split" if name == "all" else f"the {name} split"
            raise DataError(f"{data.root}: {subject} of {type(data).__name__} is empty: there is nothing to score")
        self.fingerprints = {split: data.split_fingerprint(split) for split in datasets}
        """Fingerprint of each split that is part of it."""
        self.splits = [split for split, dataset in datasets.items() for _ in range(len(dataset))]
        """Split of each sample."""
        self.masks = data.mask_values(list(datasets))
        """Values that the mask files use; None without files."""
        parts = list(datasets.values())
        self._samples = pool_datasets(parts, data.num_classes) if len(parts) > 1 else parts[0]

    @property
    def label(self) -> str:
        """Return a description of the data: its class and its folder."""
        name = type(self._data).__name__
        return f"{name} {self.root}" if Path(self.root).exists() else name

    @property
    def share(self) -> str:
        """Return a line about the share of the data that is scored, and its reason; empty if it is all."""
        total = scored = len(self._samples)
        # the other splits may not exist
        with suppress(DataError):
            total = sum(len(self._data.dataset(split)) for split in SPLITS)
        if self._name == "all" or scored == total:
            return ""
        is_random = isinstance(self._data, FileDataModule) and self._name in self._data.random_splits
        reason = f", a random part by data.{self._name}_fraction" if is_random else ""
        return f"scores {scored:,} of {total:,} images: the {self._name} split{reason}; --split all scores all"

    @property
    def classes(self) -> list[str]:
        """Return the class names of the data."""
        return self._data.classes

    def make_dataset(self, split: Split) -> ImageDataset:  # noqa: ARG002
        """Return the samples of the split."""
        return self._samples

    def prepare_data(self) -> None:
        """Do nothing, since the data is prepared."""

    def setup(self, stage: str) -> None:
        """Do nothing, since a trained task keeps the configuration from its own data."""
