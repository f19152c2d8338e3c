"""Base class of the data modules of a user's own files: how images are read, and how samples are split."""

import contextlib
import copy
import gc
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import versioned_key
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.io.error_collector import report
from lightseg.data.io.image_values import ImageValues
from lightseg.data.io.pixel_stats import MeasuredValues, measure_pixel_stats, measure_values
from lightseg.data.split_lists import list_split, read_lists
from lightseg.data.splits import Named, Splits, fraction_split, groups_of, require_disjoint, stratified_split
from lightseg.data.types import SPLITS, Split
from lightseg.errors import ConfigError, DataError, require
from lightseg.files.disk_cache import cached
from lightseg.files.evenly_spaced import spread

_STATS_IMAGES = 200
"""Training images over which range, mean and standard deviation are measured."""

_FRACTION = 0.15
"""Default share of the samples of `val` and of `test`."""

_Sample = TypeVar("_Sample", bound=Named)


class FileDataModule(ImageDataModule):
    """Base class of the data modules of a user's own files; a subclass defines `classes` and `find_datasets`.

    Args:
        channels: Channels of an image; 4 read RGBA files; numbers other than 1, 3 and 4 need TIFF or `.npy` files.
        value_range: Least and greatest value of the images, such as `[0, 4095]` for 12 bits in 16-bit files; they
            become 0 and 1, and values beyond are clipped; or one such pair for each channel; or `auto`, which takes the
            0.5th and 99.5th percentiles of each channel of up to 200 training images (with `folds`, of `train` before
            it is divided). A checkpoint keeps the numbers. Needed for signed and 32-bit integers, and for
            floating-point values outside 0..1.
        nodata: Value of missing pixels in the images, such as -9999; NaN is missing, too. It becomes the mean of the
            training images, which a checkpoint keeps, and masks are void where all channels are missing.
        bands: Channels of the files to read, in this order, such as `[4, 3, 2]`, counted from 1, as in GDAL and
            rasterio; their number is that of the channels.
        splits: List file of each split below the root, such as `{train: train.txt, val: val.txt, test: test.txt}`: one
            image per line, as a name or a path with or without extension; of `MaskFolder` also an image and its mask.
        val_fraction: Share of the samples for validation, if nothing else defines it, in 0..1.
        test_fraction: Share of the samples for testing, if nothing else defines it, in 0..1.
        split_seed: Seed of the split; separate from `seed`, so that all runs share one split.
        group: Regular expression on an image's path below the root; its first group is the sequence or patient, whose
            samples stay in one split.
        **kwargs: Options of every data module: `root`, `batch_size`, `num_workers`, transforms and `seed`.

    Attributes:
        measures_values: Whether range or mean of the training images are measured for `image_values`, when the first
            dataset is made.

    Raises:
        ConfigError: If a value is outside its range.
    """

    def __init__(
        self,
        channels: int = 3,
        value_range: tuple[float, float] | list[tuple[float, float]] | Literal["auto"] | None = None,
        nodata: float | None = None,
        bands: list[int] | None = None,
        splits: dict[Split, str] | None = None,
        val_fraction: float = _FRACTION,
        test_fraction: float = _FRACTION,
        split_seed: int = 0,
        group: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if channels < 1:
            raise ConfigError(f"data.channels: {channels} is not a number of channels; give 1 or more")
        require(
            bands is None or channels in (3, len(bands)),
            f"data.channels: {channels} is not the number of data.bands {bands}; leave it out",
        )
        measures_range = value_range == "auto"
        self.image_values = ImageValues.of(None if value_range == "auto" else value_range, nodata, bands)
        self.in_channels = channels if bands is None else len(bands)
        require(
            len(self.image_values.ranges or ()) in (0, 1, self.in_channels),
            f"data.value_range: give one pair for all channels, or one for each of {self.in_channels}, "
            f"got {len(self.image_values.ranges or ())}",
        )
        self._measures_range, self.measures_values = measures_range, measures_range or nodata is not None
        self._measured: MeasuredValues | None = None
        self._lists, self._group, self.split_seed = splits, group, split_seed
        self._fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
        self._random_splits: frozenset[Split] = frozenset()
        self._unlisted = np.array([], np.str_)
        self._file_datasets: Mapping[Split, FileDataset] = {}

    @abstractmethod
    def find_datasets(self) -> Mapping[Split, FileDataset]:
        """Return the samples of all splits; `test` may be empty.

        Raises:
            DataError: If files are missing or contradict each other.
        """

    def make_dataset(self, split: Split) -> FileDataset:
        """Return the samples of one split; `test` may be empty.

        Raises:
            DataError: If files are missing or contradict each other.
        """
        if not self._file_datasets:
            # only arrays are kept: worker processes would not share the memory of a million samples
            with _disabled_gc():
                self._file_datasets = self.find_datasets()
            if self.measures_values and len(self._file_datasets["train"]):
                self._measure_values(self._file_datasets["train"])
        return self._file_datasets[split]

    def use_values(self, values: ImageValues) -> None:
        """Read images as a trained net expects them, instead of measuring the training images; call it first."""
        self.image_values, self.measures_values = values, False

    def _measure_values(self, train: FileDataset) -> None:
        """Measure range and mean of the training images, and give them to all datasets.

        Raises:
            DataError: If the images cannot be read or measured.
        """
        files = [train.root / train.name(index) for index in spread(_STATS_IMAGES, len(train))]
        key = f"image-values-{versioned_key(train)}{'-range' * self._measures_range}"
        try:
            measured = cached(
                key, lambda: measure_values(files, self.in_channels, self.image_values, self._measures_range)
            )
        except DataError as error:
            report(error)
            return
        self._measured = MeasuredValues(*measured)
        record = self.image_values.to_record()
        if self._measures_range:
            record["ranges"] = self._measured.ranges
        if self.image_values.nodata is not None:
            record["fill"] = self._measured.mean
        self.image_values = ImageValues.from_record(record)
        for dataset in self._file_datasets.values():
            dataset.values = self.image_values

    @property
    def random_splits(self) -> frozenset[Split]:
        """Splits that are drawn at random; empty before the first `make_dataset`."""
        return self._random_splits

    def split_by_seed(self, seed: int) -> Mapping[Split, FileDataset]:
        """Return the samples of all splits as another `split_seed` deals them.

        Raises:
            DataError: If files are missing or contradict each other.
        """
        data = copy.copy(self)
        data.split_seed = seed
        return data.find_datasets()

    def check_training(self) -> list[dict[str, Any]]:
        """Check the training split, as every data module does, and that no option of the splits is without effect.

        Raises:
            ConfigError: If an option is without effect.
        """
        samples = super().check_training()
        for name, value, default, reason in self._unused_options():
            require(
                value == default,
                f"data.{name}: {value} changes nothing, since {reason}; leave it out, or, if a base sets it, set it "
                f"back to {default!r}",
            )
        return samples

    def _unused_options(self) -> Iterator[tuple[str, object, object, str]]:
        """Yield name, value and default of options that have no effect on these files, and the reason."""
        reason = "lists define the splits" if self._lists else "folders or a column define the splits"
        for split, fraction in self._fractions.items():
            if split not in self._random_splits:
                yield f"{split}_fraction", fraction, _FRACTION, reason
        if not self._random_splits and not self.deals_folds:
            yield "split_seed", self.split_seed, 0, reason

    @property
    def has_groups(self) -> bool:
        """Return whether an option defines groups of samples that stay in one split."""
        return self._group is not None

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Return the match of `group` in each image path; without `group`, every sample is a group."""
        return names if self._group is None else groups_of(names, self._group)

    def pixel_stats(self) -> tuple[Sequence[float], Sequence[float]]:
        """Return ImageNet's mean and standard deviation for 8-bit color, else those of up to 200 training images.

        Missing pixels are left out.

        Raises:
            DataError: If an image cannot be read.
        """
        train = self.dataset("train")
        if self.in_channels == 3 and train[0][0].dtype == np.uint8:
            return super().pixel_stats()
        if self._measured is not None:
            return self._measured.mean, self._measured.std
        indices = spread(_STATS_IMAGES, len(train))
        mean, std = cached(
            f"stats-{versioned_key(train)}", lambda: measure_pixel_stats(train[index][0] for index in indices)
        )
        return mean, std

    def unlisted_images(self) -> Sequence[str]:
        """Return the images that no list names, where lists define the samples; call it after `make_dataset`."""
        names: list[str] = self._unlisted.tolist()
        return names

    def _split_by_lists(
        self, samples: Sequence[_Sample], entries: Mapping[Split, Sequence[str]] | None = None
    ) -> Splits[_Sample]:
        """Return the samples that lists name.

        Args:
            samples: All samples.
            entries: Split → the lines of its list; None if they have not been read.
        """
        root, lists = Path(self.root), self._lists or {}
        splits = list_split(root, samples, lists, read_lists(root, lists) if entries is None else entries)
        listed = {sample for part in splits.values() for sample in part}
        self._unlisted = np.array([sample.image for sample in samples if sample not in listed], np.str_)
        return splits

    def _split_at_random(
        self, samples: Sequence[_Sample], labels: Sequence[int] | None = None, splits: Sequence[Split] = ("val", "test")
    ) -> Splits[_Sample]:
        """Split samples at random: whole groups at a time, or without groups each class by itself, if there are labels.

        Args:
            samples: All samples.
            labels: Class of each sample.
            splits: The splits to take off; the rest is `train`.
        """
        self._random_splits = frozenset(splits)
        fractions = {split: self._fractions[split] for split in splits}
        if labels is not None and not self.has_groups:
            return stratified_split(samples, fractions, self.split_seed, labels)
        return fraction_split(samples, fractions, self.split_seed, self._sample_groups(samples))

    def _complete(self, splits: Splits[_Sample], labels: Sequence[int] | None = None) -> Splits[_Sample]:
        """Split `val` off `train` if it is empty, and check that no group is in two splits.

        Args:
            splits: The samples of each split.
            labels: Class of each sample of `train`.
        """
        if not splits["val"]:
            train_and_val = self._split_at_random(splits["train"], labels, ["val"])
            splits = {**train_and_val, "test": splits["test"]}
        return self._without_leaks(splits)

    def _without_leaks(self, splits: Splits[_Sample]) -> Splits[_Sample]:
        """Return the splits after checking that each group is in one of them."""
        if self.has_groups:
            samples = [sample for split in SPLITS for sample in splits[split]]
            require_disjoint(Path(self.root), splits, self._sample_groups(samples), samples)
        return splits

    def _sample_groups(self, samples: Sequence[_Sample]) -> Sequence[str]:
        # without groups, a random split depends on names, which may lack the extension
        if not self.has_groups:
            return [sample.name for sample in samples]
        return self.groups([sample.image for sample in samples])


@contextlib.contextmanager
def _disabled_gc() -> Iterator[None]:
    """Disable garbage collection, which slows the creation of a million objects."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
