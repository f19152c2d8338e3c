"""Data module of a folder of images and masks."""

import contextlib
import gc
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.io.images import ImageValues
from lightseg.data.io.label_map import LabelMap, rgb
from lightseg.data.io.pairing import MissingMask, Pair, describe_folder, find_pairs
from lightseg.data.io.pixel_stats import measure_pixel_stats
from lightseg.data.palette import default_palette
from lightseg.data.splits import (
    Pairs,
    fraction_split,
    groups_of,
    list_split,
    listed_pairs,
    read_lists,
    require_disjoint,
)
from lightseg.data.types import SPLITS, Split
from lightseg.errors import ConfigError, DataError
from lightseg.files.disk_cache import cached
from lightseg.files.evenly_spaced import spread

_FOLDER_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Accepted folder names of each split."""

_LIKE_A_SPLIT = re.compile(r"(train|val|dev|test|eval)", re.IGNORECASE)
"""Beginning of a folder name that suggests a split."""

_STATS_IMAGES = 200
"""Training images over which mean and standard deviation are measured."""


class MaskFolder(ImageDataModule):
    """Images and masks in folders, paired by name, without code.

    Three layouts are recognized: `images/` and `masks/` (split by fractions or list files), `train/images/` and
    `train/masks/` (and so on for `val` and `test`), and `images/train/` and `masks/train/`. In the latter two, `val`
    may be missing and is then a fraction of `train`; without `test`, that split is empty.

    Args:
        classes: Class names in the order of their ids, the background included.
        values: Mask value → class name, such as `{0: background, 255: road}`; several values of one class merge.
            By default, values are class ids 0, 1, 2, ….
        colors: Class name → its RGB color in the masks, or a list of colors, such as
            `{road: [128, 64, 128], car: [[64, 0, 128], [64, 0, 192]]}`. With `colors` alone, palette files are read by
            color too; beside `values`, they serve RGB masks and figures.
        ignore: Mask values and RGB colors that are void, such as `[11]` or `[[0, 0, 0]]`. By default, 255 is void
            unless `values` names it. Negative values, such as `[-1]`, occur in signed TIFF files.
        threshold: Least gray value of the brighter of two classes, such as 128; for masks with smooth edges or in a
            lossy format, such as JPEG.
        mask_channel: Channel of the masks that holds the values: `alpha`, or a number from 0 on, such as 0 for red.
        missing_mask: Treatment of an image without a mask: `error`, `skip` it, or `background`, a mask of the first
            class.
        channels: Channels of an image; 4 read RGBA files; numbers other than 1, 3 and 4 need TIFF or `.npy` files.
        value_range: Least and greatest value of the images, such as `[0, 4095]` for 12 bits in 16-bit files; they
            become 0 and 1, and values beyond are clipped. Needed for signed and 32-bit integers, and for floating-point
            values outside 0..1.
        nodata: Value of missing pixels in the images, such as -9999; it becomes 0. The corresponding mask value goes to
            `ignore`.
        images: Name of the folder of images.
        masks: Name of the folder of masks; may be that of the images if a suffix distinguishes them.
        image_suffix: End of every image's name before the extension, such as `_leftImg8bit`; other files are ignored.
        mask_suffix: End of every mask's name before the extension, such as `_mask`; other files are ignored.
        splits: List file of each split below the root, such as `{train: train.txt, val: val.txt, test: test.txt}`: one
            image per line, as a name or a path with or without extension, or the paths of an image and its mask. Images
            that no list names need no mask.
        val_fraction: Share of the samples for validation, if neither folders nor lists define it, in 0..1.
        test_fraction: Share of the samples for testing, if neither folders nor lists define it, in 0..1.
        split_seed: Seed of the split; separate from `seed`, so that all runs share one split.
        group: Regular expression on an image's path below the root; its first group is the sequence or patient, whose
            samples stay in one split.
        **kwargs: Options of every data module: `root`, `batch_size`, `num_workers`, transforms and `seed`.

    Raises:
        ConfigError: If the labels contradict each other.
    """

    def __init__(
        self,
        classes: list[str],
        values: dict[int, str] | None = None,
        colors: dict[str, list[int] | list[list[int]]] | None = None,
        ignore: list[int | list[int]] | None = None,
        threshold: int | None = None,
        mask_channel: int | Literal["alpha"] | None = None,
        missing_mask: MissingMask = "error",
        channels: int = 3,
        value_range: tuple[float, float] | None = None,
        nodata: float | None = None,
        images: str = "images",
        masks: str = "masks",
        image_suffix: str = "",
        mask_suffix: str = "",
        splits: dict[Split, str] | None = None,
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        split_seed: int = 0,
        group: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if channels < 1:
            raise ConfigError(f"data.channels: {channels} is not a number of channels; give 1 or more")
        self.label_map = LabelMap(classes, values, colors, ignore, threshold, mask_channel)
        self.in_channels, self.image_values = channels, ImageValues.of(value_range, nodata)
        self._missing_mask = missing_mask
        self._colors = {name: rgb(shades)[0] for name, shades in (colors or {}).items()}
        self._folders, self._suffixes = (images, masks), (image_suffix, mask_suffix)
        self._lists, self._group, self.split_seed = splits, group, split_seed
        self._fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
        self._mask_datasets: dict[Split, MaskDataset] = {}

    @property
    def classes(self) -> list[str]:
        """Return the class names of the config."""
        return self.label_map.classes

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return the colors of the config, with defaults for classes without a color."""
        defaults = default_palette(self.num_classes)
        return [self._colors.get(name, default) for name, default in zip(self.classes, defaults, strict=True)]

    def make_dataset(self, split: Split) -> MaskDataset:
        """Return the samples of one split; `test` may be empty.

        Raises:
            DataError: If folders are missing, or images and masks do not pair up.
        """
        if not self._mask_datasets:
            # only arrays are kept: worker processes would not share the memory of a million pairs
            with _disabled_gc():
                self._mask_datasets = {
                    name: MaskDataset(self.root, pairs, self.label_map, self.in_channels, self.image_values)
                    for name, pairs in self._find_splits().items()
                }
        return self._mask_datasets[split]

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Return the match of `group` in each image path; without `group`, every sample is a group."""
        return names if self._group is None else groups_of(names, self._group)

    def pixel_stats(self) -> tuple[Sequence[float], Sequence[float]]:
        """Return ImageNet's mean and standard deviation for 8-bit color, else those of up to 200 training images.

        Raises:
            DataError: If an image cannot be read.
        """
        train = self.dataset("train")
        if self.in_channels == 3 and train[0][0].dtype == np.uint8:
            return super().pixel_stats()
        indices = spread(_STATS_IMAGES, len(train))
        mean, std = cached(
            f"stats-{train.cache_key()}", lambda: measure_pixel_stats(train[index][0] for index in indices)
        )
        return mean, std

    def _find_splits(self) -> Pairs:
        """Return the pairs of all splits, by lists, by folders of splits or by fractions.

        Raises:
            ConfigError: If images and masks are the same files.
            DataError: If no layout matches, or images and masks do not pair up.
        """
        root, (images, masks) = Path(self.root), self._folders
        if images == masks and self._suffixes[0] == self._suffixes[1]:
            raise ConfigError(
                f"data.masks: {masks} is the folder of the images, too; distinguish masks by the ends of their names, "
                "such as mask_suffix: _mask"
            )
        entries = read_lists(root, self._lists) if self._lists and root.is_dir() else {}
        if entries and (listed := listed_pairs(root, entries)):
            return self._without_leaks(listed, [pair for split in SPLITS for pair in listed[split]])
        for layout in ("{split}/{kind}", "{kind}/{split}"):
            folders = {
                split: _split_folders(root, layout, names, images, masks) for split, names in _FOLDER_NAMES.items()
            }
            if folders["train"] and not self._lists:
                _require_known_splits(root, layout, images, masks)
                return self._complete(
                    {split: self._find_pairs(*pair) if pair else [] for split, pair in folders.items()}
                )
        missing = [folder for folder in self._folders if not (root / folder).is_dir()]
        if missing:
            raise DataError(
                f"{root}: no folder {' and no folder '.join(missing)}; {describe_folder(root, missing)}\n"
                f"looked for {images}/ and {masks}/, train/{images}/ and train/{masks}/, or {images}/train/ and "
                f"{masks}/train/; set data.root, data.images or data.masks"
            )
        pairs = self._find_pairs(images, masks)
        if self._lists is None:
            _require_no_splits(root / images, pairs)
            return fraction_split(pairs, self._fractions, self.split_seed, self._groups_of_pairs(pairs))
        return self._without_leaks(list_split(root, pairs, self._lists, entries, self._missing_mask), pairs)

    def _groups_of_pairs(self, pairs: Sequence[Pair]) -> Sequence[str]:
        # a random split depends on names without extension
        return [pair.name for pair in pairs] if self._group is None else self.groups([pair.image for pair in pairs])

    def _find_pairs(self, images: str, masks: str) -> list[Pair]:
        return find_pairs(
            Path(self.root), images, masks, *self._suffixes, self._missing_mask, is_listed=bool(self._lists)
        )

    def _complete(self, splits: Pairs) -> Pairs:
        """Split `val` off `train` if it has no folder."""
        if not splits["val"]:
            groups = self._groups_of_pairs(splits["train"])
            fractions: dict[Split, float] = {"val": self._fractions["val"]}
            train_and_val = fraction_split(splits["train"], fractions, self.split_seed, groups)
            splits = {**train_and_val, "test": splits["test"]}
        return self._without_leaks(splits, [pair for split in SPLITS for pair in splits[split]])

    def _without_leaks(self, splits: Pairs, pairs: list[Pair]) -> Pairs:
        """Return the splits after checking that each group is in one of them."""
        if self._group is not None:
            require_disjoint(Path(self.root), splits, self._groups_of_pairs(pairs), pairs)
        return splits


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


def _require_known_splits(root: Path, layout: str, images: str, masks: str) -> None:
    """Check that every folder that looks like a split has an accepted name, and that `val` has images and masks.

    Raises:
        DataError: If one does not.
    """
    split_names = {name: split for split, names in _FOLDER_NAMES.items() for name in names}
    parent = root if layout.startswith("{split}") else root / images
    for folder in sorted(path.name for path in parent.iterdir() if path.is_dir()):
        pair = [layout.format(split=folder, kind=kind) for kind in (images, masks)]
        existing = [name for name in pair if (root / name).is_dir()]
        if folder not in split_names and len(existing) == 2 and _LIKE_A_SPLIT.match(folder):
            raise DataError(
                f"{root}: {existing[0]} is of no split that is known by this name; rename it to val or test"
            )
        if split_names.get(folder) == "val" and len(existing) == 1:
            missing = next(name for name in pair if name not in existing)
            raise DataError(f"{root / missing}: not found beside {existing[0]}; add it, or move that folder away")


def _require_no_splits(folder: Path, pairs: Sequence[Pair]) -> None:
    """Check that samples for a random split do not lie in folders that look like splits.

    Raises:
        DataError: If they do.
    """
    subfolders = {pair.name.partition("/")[0] for pair in pairs if "/" in pair.name}
    splits = {match[1].lower() for subfolder in subfolders if (match := _LIKE_A_SPLIT.match(subfolder))}
    if "train" in splits and len(splits) > 1:
        names = ", ".join(sorted(subfolder for subfolder in subfolders if _LIKE_A_SPLIT.match(subfolder)))
        raise DataError(
            f"{folder}: has {names}, which look like splits, and would be mixed; rename them to train, val and test, "
            "or name the samples of each in lists: data.splits"
        )


def _split_folders(root: Path, layout: str, names: Sequence[str], images: str, masks: str) -> tuple[str, str] | None:
    """Return image and mask folder of a split, relative to the root, if both exist."""
    for name in names:
        pair = layout.format(split=name, kind=images), layout.format(split=name, kind=masks)
        if all((root / folder).is_dir() for folder in pair):
            return pair
    return None
