"""Base class of the data modules of a user's own images with a class each, or with labels."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.datasets.label_dataset import LabelDataset, LabeledImage
from lightseg.data.splits import Splits
from lightseg.data.types import Kind, Split
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE


class LabelDataModule(FileDataModule):
    """Base class of the data modules of images with a class each; a subclass finds classes and samples.

    Args:
        classes: Class names in the order of their ids. By default, those that occur, sorted by name, or by value if all
            are whole numbers.
        **kwargs: Options of `FileDataModule`.

    Raises:
        ConfigError: If there are too few or too many classes, or one is listed twice.
    """

    kind: ClassVar[Kind] = "classification"

    def __init__(self, classes: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._declared = None if classes is None else list(classes)
        if classes is not None:
            duplicates = [name for name, count in Counter(classes).items() if count > 1]
            if duplicates:
                raise ConfigError(f"data.classes: {', '.join(duplicates)} is listed twice; list each class once")
            if reason := _describe_wrong_number(classes, self._least_classes):
                raise ConfigError(f"data.classes: {reason}")

    @cached_property
    def classes(self) -> list[str]:
        """Class names of the config, or those that occur, sorted.

        Raises:
            DataError: If the data are missing or hold too few classes.
        """
        if self._declared is not None:
            return self._declared
        names = _sort(self._find_classes())
        if reason := _describe_wrong_number(names, self._least_classes) or _describe_variants(names):
            raise DataError(f"{self.root}: {reason}")
        return names

    @property
    def _least_classes(self) -> int:
        return 1 if self.multilabel else 2

    @abstractmethod
    def _find_classes(self) -> Iterable[str]:
        """Return the names of the classes that occur.

        Raises:
            DataError: If the data are missing.
        """

    @abstractmethod
    def _find_splits(self) -> Splits[LabeledImage]:
        """Return the samples of all splits.

        Raises:
            DataError: If the data are missing or contradict each other.
        """

    def find_datasets(self) -> Mapping[Split, LabelDataset]:
        """Return the samples of all splits; `test` may be empty.

        Raises:
            DataError: If the data are missing or contradict each other.
        """
        labels = self.num_classes if self.multilabel else None
        return {
            split: LabelDataset(self.root, samples, self.in_channels, self.image_values, labels)
            for split, samples in self._find_splits().items()
        }

    def _strata(self, samples: Sequence[LabeledImage]) -> list[int]:
        """Return the class of each sample, which a random split divides by itself.

        Of classes that may overlap, it is the rarest one of those that the sample has; without any, it is -1.
        """
        if not self.multilabel:
            return [int(sample.label) for sample in samples]  # type: ignore[arg-type]
        has_class = np.array([sample.label for sample in samples], np.uint8).reshape(-1, self.num_classes) == 1
        by_rarity = np.argsort(has_class.sum(0), kind="stable")
        rarest = by_rarity[has_class[:, by_rarity].argmax(1)]
        strata: list[int] = np.where(has_class.any(1), rarest, -1).tolist()
        return strata

    def _split_without_folders(self, samples: Sequence[LabeledImage]) -> Splits[LabeledImage]:
        """Return the samples of all splits, by lists or by fractions."""
        if self._lists is None:
            return self._split_at_random(samples, self._strata(samples))
        return self._without_leaks(self._split_by_lists(samples))


def _sort(names: Iterable[str]) -> list[str]:
    """Return names sorted, or by value if all are whole numbers."""
    unique = set(names)
    return sorted(unique, key=int) if all(name.isdecimal() for name in unique) else sorted(unique)


def _describe_wrong_number(classes: Sequence[str], least: int) -> str:
    """Return what is wrong with the number of classes; empty if nothing is."""
    if len(classes) < least:
        only = f" ({classes[0]})" if classes else ""
        needed = "at least two are needed to tell apart" if least > 1 else "at least one is needed"
        return f"{len(classes)} class{'es' * (not classes)}{only}; {needed}"
    if len(classes) > IGNORE:
        return f"{len(classes)} classes are too many; at most {IGNORE} have an id"
    return ""


def _describe_variants(names: Sequence[str]) -> str:
    """Return a message about two names that differ by case alone; empty if there are none."""
    first_of: dict[str, str] = {}
    for name in names:
        if (first := first_of.setdefault(name.casefold(), name)) != name:
            return f"the classes {first} and {name} differ by case alone; rename one, or list both in data.classes"
    return ""
