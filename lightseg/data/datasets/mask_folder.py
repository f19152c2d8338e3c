"""User's own folder of images and masks."""

import contextlib
import gc
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.data.io.disk_cache import cached
from lightseg.data.io.images import ImageValues
from lightseg.data.io.label_map import LabelMap, rgb
from lightseg.data.io.pairing import MissingMask, Pair, describe, find_pairs
from lightseg.data.io.pixel_stats import measure
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
from lightseg.files.evenly_spaced import spread

_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What people call the folder of a split."""

_LIKE_A_SPLIT = re.compile(r"(train|val|dev|test|eval)", re.IGNORECASE)
"""How the name of a folder begins that someone made for a split."""

_STATS_IMAGES = 200
"""Training images that mean and standard deviation are measured on."""


class MaskFolder(ImageDataModule):
    """Images and masks in folders, paired by name; no code needed.

    Three layouts are recognised: `images/` and `masks/` (split by fractions or list files), `train/images/` and
    `train/masks/` (and so on for `val` and `test`), and `images/train/` and `masks/train/`. Where there are folders for
    the splits but none for `val`, it is a fraction of `train`; where there is none for `test`, it is empty.

    Args:
        classes: Class names in the order of their ids, the background included.
        values: Mask value → class name, such as `{0: background, 255: road}`; several values of one class merge.
            Left out, values are class ids 0, 1, 2, … already.
        colors: Class name → its RGB colour in the masks, or a list of colours, such as
            `{road: [128, 64, 128], car: [[64, 0, 128], [64, 0, 192]]}`. With `colors` alone, palette files are read by
            colour too; beside `values`, they serve RGB masks and pictures.
        ignore: Mask values and RGB colours that are void, such as `[11]` or `[[0, 0, 0]]`. Left out, value 255 is,
            unless `values` names it. Negative values, such as `[-1]`, are those of signed TIFF files.
        threshold: Grey value from which on a mask shows the brighter of two classes, such as 128; for masks with smooth
            edges, and for those in a lossy format, such as JPEG.
        mask_channel: Channel of the masks that holds the values: `alpha`, or a number from 0 on, such as 0 for red.
        missing_mask: For an image without a mask: `error`, `skip` it, or `background`, a mask of the first class alone.
        channels: Channels of an image; 4 read RGBA files, any other number but 1 and 3 needs TIFF or `.npy` files.
        value_range: Least and greatest value of the images, such as `[0, 4095]` for 12 bits in 16-bit files; they
            become 0 and 1, and what lies beyond is clipped. Needed for signed and 32-bit integers, and for
            floating-point values outside 0..1.
        nodata: Value of the images that means nothing, such as -9999; it becomes 0. What it is in the masks goes to
            `ignore`.
        images: Name of the folder of images.
        masks: Name of the folder of masks; may be that of the images, where a suffix tells them apart.
        image_suffix: End of every image's name before the extension, such as `_leftImg8bit`; other files are left out.
        mask_suffix: End of every mask's name before the extension, such as `_mask`; other files are left out.
        splits: List file of each split below the root, such as `{train: train.txt, val: val.txt, test: test.txt}`: one
            image per line, as a name or a path with or without extension, or the paths of an image and its mask. Images
            that no list names need no mask.
        val_fraction: Share of the samples for validation, where neither folders nor lists say it.
        test_fraction: Share of the samples for testing, where neither folders nor lists say it.
        split_seed: Draws another split; apart from `seed`, so that all runs share one split.
        group: Regular expression on an image's path below the root; what its first parentheses find names the sequence
            or patient, which is never split up.
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
        self._colors = {name: rgb(some)[0] for name, some in (colors or {}).items()}
        self._folders, self._suffixes = (images, masks), (image_suffix, mask_suffix)
        self._lists, self._group, self.split_seed = splits, group, split_seed
        self._fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
        self._found: dict[Split, MaskDataset] = {}

    @property
    def classes(self) -> list[str]:
        """Return the class names of the config."""
        return self.label_map.classes

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return the colours of the config, with defaults for classes that have none."""
        defaults = default_palette(self.num_classes)
        return [self._colors.get(name, default) for name, default in zip(self.classes, defaults, strict=True)]

    def make_dataset(self, split: Split) -> MaskDataset:
        """Return the samples of one split; `test` may be empty.

        Raises:
            DataError: If folders are missing, or images and masks do not pair up.
        """
        if not self._found:
            # the pairs are gone then: loading processes would not share the memory of a million of them
            with _no_collection():
                for part, pairs in self._find().items():
                    self._found[part] = MaskDataset(
                        self.root, pairs, self.label_map, self.in_channels, self.image_values
                    )
        return self._found[split]

    def groups(self, names: Sequence[str]) -> Sequence[str]:
        """Return what `group` finds in the names, which are the images' paths; without it every sample is alone."""
        return names if self._group is None else groups_of(names, self._group)

    def pixel_stats(self) -> tuple[Sequence[float], Sequence[float]]:
        """ImageNet's mean and deviation for 8-bit colour, else measured over up to 200 training images.

        Raises:
            DataError: If an image cannot be read.
        """
        train = self.dataset("train")
        if self.in_channels == 3 and train[0][0].dtype == np.uint8:
            return super().pixel_stats()
        picked = spread(_STATS_IMAGES, len(train))
        mean, std = cached(f"stats-{train.cache_key()}", lambda: measure(train[index][0] for index in picked))
        return mean, std

    def _find(self) -> Pairs:
        """All splits, by the layout that is there."""
        root, (images, masks) = Path(self.root), self._folders
        if images == masks and self._suffixes[0] == self._suffixes[1]:
            raise ConfigError(
                f"data.masks: {masks} is the folder of the images, too; tell masks apart by their names' ends, such as "
                "mask_suffix: _mask"
            )
        entries = read_lists(root, self._lists) if self._lists and root.is_dir() else {}
        if entries and (listed := listed_pairs(root, entries)):
            return self._without_leaks(listed, [pair for split in SPLITS for pair in listed[split]])
        for layout in ("{split}/{kind}", "{kind}/{split}"):
            folders = {split: _split_folders(root, layout, names, images, masks) for split, names in _NAMES.items()}
            if folders["train"] and not self._lists:
                _require_known_splits(root, layout, images, masks)
                found: Pairs = {split: self._pair(*where) if where else [] for split, where in folders.items()}
                return self._complete(found)
        missing = [folder for folder in self._folders if not (root / folder).is_dir()]
        if missing:
            raise DataError(
                f"{root}: no folder {' and no folder '.join(missing)}; {describe(root, missing)}\n"
                f"looked for {images}/ and {masks}/, train/{images}/ and train/{masks}/, or {images}/train/ and "
                f"{masks}/train/; set data.root, data.images or data.masks"
            )
        pairs = self._pair(images, masks)
        if self._lists is None:
            _require_no_splits(root / images, pairs)
            return fraction_split(pairs, self._fractions, self.split_seed, self._groups(pairs))
        return self._without_leaks(list_split(root, pairs, self._lists, entries, self._missing_mask), pairs)

    def _groups(self, pairs: Sequence[Pair]) -> Sequence[str]:
        # what is drawn at random are names without extension
        return [pair.name for pair in pairs] if self._group is None else self.groups([pair.image for pair in pairs])

    def _pair(self, images: str, masks: str) -> list[Pair]:
        return find_pairs(
            Path(self.root), images, masks, *self._suffixes, self._missing_mask, is_listed=bool(self._lists)
        )

    def _complete(self, pairs: Pairs) -> Pairs:
        """Take `val` out of `train` where it has no folder of its own."""
        if not pairs["val"]:
            groups = self._groups(pairs["train"])
            fractions: dict[Split, float] = {"val": self._fractions["val"]}
            test, pairs = pairs["test"], fraction_split(pairs["train"], fractions, self.split_seed, groups)
            pairs["test"] = test
        return self._without_leaks(pairs, [pair for split in SPLITS for pair in pairs[split]])

    def _without_leaks(self, found: Pairs, pairs: list[Pair]) -> Pairs:
        if self._group is not None:
            require_disjoint(Path(self.root), found, self._groups(pairs), pairs)
        return found


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Make a million objects without a search for garbage among them every so many."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _require_known_splits(root: Path, layout: str, images: str, masks: str) -> None:
    """See that no folder beside those of the splits is meant for one, and that none has its masks elsewhere.

    Raises:
        DataError: If one is.
    """
    split_of = {name: split for split, names in _NAMES.items() for name in names}
    place = root if layout.startswith("{split}") else root / images
    for folder in sorted(path.name for path in place.iterdir() if path.is_dir()):
        where = [layout.format(split=folder, kind=kind) for kind in (images, masks)]
        matches = [name for name in where if (root / name).is_dir()]
        if folder not in split_of and len(matches) == 2 and _LIKE_A_SPLIT.match(folder):
            raise DataError(f"{root}: {matches[0]} is of no split that is known by this name; rename it to val or test")
        if split_of.get(folder) == "val" and len(matches) == 1:
            missing = next(name for name in where if name not in matches)
            raise DataError(f"{root / missing}: not found beside {matches[0]}; bring it there, or move that away")


def _require_no_splits(folder: Path, pairs: Sequence[Pair]) -> None:
    """See that samples that are about to be dealt at random do not lie in folders of splits.

    Raises:
        DataError: If they do.
    """
    parts = {pair.name.partition("/")[0] for pair in pairs if "/" in pair.name}
    splits = {match[1].lower() for part in parts if (match := _LIKE_A_SPLIT.match(part))}
    if "train" in splits and len(splits) > 1:
        names = ", ".join(sorted(part for part in parts if _LIKE_A_SPLIT.match(part)))
        raise DataError(
            f"{folder}: has {names}, which look like splits, and would be mixed; rename them to train, val and test, "
            "or name the samples of each in lists: data.splits"
        )


def _split_folders(root: Path, layout: str, names: Sequence[str], images: str, masks: str) -> tuple[str, str] | None:
    """Image and mask folder of a split, relative to the root, if both are there."""
    for name in names:
        pair = layout.format(split=name, kind=images), layout.format(split=name, kind=masks)
        if all((root / folder).is_dir() for folder in pair):
            return pair
    return None
