"""Any part of some data as the test split of its own, which is what Lightning scores."""

from pathlib import Path
from typing import Literal

import numpy as np

from lightseg.data import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.data.folds import Pooled
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError

Name = Literal["train", "val", "test", "all"]


class SplitData(ImageDataModule):
    """Split of a data module, or all of them together, as `test`; nothing is drawn or augmented.

    Args:
        data: The data.
        name: Which part of it.

    Raises:
        DataError: If there is nothing in it, or a target cannot be used.
    """

    def __init__(self, data: ImageDataModule, name: Name) -> None:
        super().__init__(data.root, data.batch_size, data.num_workers)
        self._data, self.in_channels = data, data.in_channels
        self._eval_transform = data._eval_transform
        splits: tuple[Split, ...] = SPLITS if name == "all" else (name,)
        parts = {split: dataset for split in splits if len(dataset := data.dataset(split))}
        if not parts:
            what = "every split" if name == "all" else f"the {name} split"
            raise DataError(f"{data.root}: {what} of {type(data).__name__} is empty: there is nothing to score")
        self.fingerprints = {split: data.split_fingerprint(split) for split in parts}
        """Of each split that is in it."""
        self.splits = [split for split, dataset in parts.items() for _ in range(len(dataset))]
        """The split of each sample."""
        (first, *more), tables = parts.values(), [data.class_table(split) for split in parts]
        self._samples = Pooled([first, *more], np.concatenate(tables)) if more else first

    @property
    def label(self) -> str:
        """Return what data it is of, for a reader."""
        name = type(self._data).__name__
        return f"{name} {self.root}" if Path(self.root).exists() else name

    @property
    def classes(self) -> list[str]:
        """Those of the data."""
        return self._data.classes

    def make_dataset(self, split: Split) -> ImageDataset:  # noqa: ARG002
        """Return the samples of the part."""
        return self._samples

    def prepare_data(self) -> None:
        """Nothing: it is there already."""

    def setup(self, stage: str) -> None:
        """Nothing: a trained task follows the data that it was trained on."""
