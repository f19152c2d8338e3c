"""Base class of the data modules of images and masks in folders: their layouts, and lists of pairs."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.datasets.unread_files import unused_images
from lightseg.data.io.image_files import describe_folder
from lightseg.data.io.pairing import Pair, Pairs
from lightseg.data.split_lists import read_lists
from lightseg.data.splits import (
    LIKE_A_SPLIT,
    SPLIT_NAMES,
    SPLIT_OF,
    relative_to,
    require_disjoint,
    require_no_splits,
    without_extension,
)
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError
from lightseg.files.atomic import expand_home


class PairedFolder(FileDataModule):
    """Base class of the data modules of images and masks in folders; a subclass pairs those of a folder by name.

    Three layouts are recognized: `images/` and `masks/` (split by fractions or list files), `train/images/` and
    `train/masks/` (and so on for `val` and `test`), and `images/train/` and `masks/train/`. In the latter two, `val`
    may be missing and is then a fraction of `train`; without `test`, that split is empty.

    Args:
        images: Name of the folder of images.
        masks: Name of the folder of masks; may be that of the images if names distinguish them.
        image_suffix: End of every image's name before the extension, such as `_leftImg8bit`, or with it, such as
            `.jpg`; other files are ignored.
        **kwargs: Options of `FileDataModule`: reading of images, splits and groups.
    """

    def __init__(self, images: str = "images", masks: str = "masks", image_suffix: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._folders, self._image_suffix = (images, masks), image_suffix
        self._lists_pairs = False

    @abstractmethod
    def _find_pairs(self, images: str, masks: str) -> list[Pair]:
        """Return the samples of a folder of images and one of masks, relative to the root.

        If lists name the samples (`self._lists`), every image has one, with empty paths of missing masks.

        Raises:
            DataError: If images and masks do not pair up.
        """

    def _with_masks(self, split: Split, pairs: list[Pair]) -> list[Pair]:  # noqa: ARG002
        """Return the samples of a list that can be used; unless overridden, all of them.

        Raises:
            DataError: If an image lacks a mask.
        """
        return pairs

    def _find_splits(self) -> Pairs:
        """Return the pairs of all splits, by lists, by folders of splits or by fractions.

        Raises:
            DataError: If no layout matches, or images and masks do not pair up.
        """
        root, (images, masks) = Path(self.root), self._folders
        entries = read_lists(root, self._lists) if self._lists and root.is_dir() else {}
        if entries and (listed := _listed_pairs(root, entries)):
            self._lists_pairs = True
            return self._without_leaks(listed)
        for layout in ("{split}/{kind}", "{kind}/{split}"):
            folders = {
                split: _split_folders(root, layout, names, images, masks) for split, names in SPLIT_NAMES.items()
            }
            if folders["train"] and not self._lists:
                _require_known_splits(root, layout, images, masks)
                return self._complete(
                    {split: self._find_pairs(*pair) if pair else [] for split, pair in folders.items()}
                )
        absent_folders = [folder for folder in self._folders if not (root / folder).is_dir()]
        if absent_folders:
            raise DataError(
                f"{root}: no folder {' and no folder '.join(absent_folders)}; {describe_folder(root, absent_folders)}\n"
                f"looked for {images}/ and {masks}/, train/{images}/ and train/{masks}/, or {images}/train/ and "
                f"{masks}/train/; set data.root, data.images or data.masks"
            )
        pairs = self._find_pairs(images, masks)
        if self._lists is None:
            require_no_splits(
                root / images,
                {pair.name.partition("/")[0] for pair in pairs if "/" in pair.name},
                "rename them to train, val and test, or name the samples of each in lists: data.splits",
            )
            return self._split_at_random(pairs)
        listed = self._split_by_lists(pairs, entries)
        return self._without_leaks({split: self._with_masks(split, part) for split, part in listed.items()})

    def unlisted_images(self) -> Sequence[str]:
        """Return the images that no list names, where lists define the samples; call it after `make_dataset`."""
        return unused_images(self._file_datasets.values()) if self._lists_pairs else super().unlisted_images()

    def _unused_options(self) -> Iterator[tuple[str, object, object, str]]:
        yield from super()._unused_options()
        if self._lists_pairs:
            reason = "the lists name every image and its mask"
            yield "images", self._folders[0], "images", reason
            yield "masks", self._folders[1], "masks", reason
            yield "image_suffix", self._image_suffix, "", reason


def _require_known_splits(root: Path, layout: str, images: str, masks: str) -> None:
    """Check that every folder that looks like a split has an accepted name, and that `val` has images and masks.

    Raises:
        DataError: If one does not.
    """
    parent = root if layout.startswith("{split}") else root / images
    for folder in sorted(path.name for path in parent.iterdir() if path.is_dir()):
        pair = [layout.format(split=folder, kind=kind) for kind in (images, masks)]
        existing = [name for name in pair if (root / name).is_dir()]
        if folder not in SPLIT_OF and len(existing) == 2 and LIKE_A_SPLIT.match(folder):
            raise DataError(
                f"{root}: {existing[0]} is of no split that is known by this name; rename it to val or test"
            )
        if SPLIT_OF.get(folder) == "val" and len(existing) == 1:
            absent_folder = next(name for name in pair if name not in existing)
            raise DataError(f"{root / absent_folder}: not found beside {existing[0]}; add it, or move that folder away")


def _split_folders(root: Path, layout: str, names: Sequence[str], images: str, masks: str) -> tuple[str, str] | None:
    """Return image and mask folder of a split, relative to the root, if both exist."""
    for name in names:
        pair = layout.format(split=name, kind=images), layout.format(split=name, kind=masks)
        if all((root / folder).is_dir() for folder in pair):
            return pair
    return None


def _listed_pairs(root: Path, entries: Mapping[Split, Sequence[str]]) -> Pairs | None:
    """Return the samples of lists whose lines are the paths of an image and its mask.

    Args:
        root: Folder that relative paths start from.
        entries: Split → the lines of its list.

    Returns:
        The samples of each split; None if a line does not name two files.

    Raises:
        DataError: If a sample is in two lists.
    """
    result: Pairs = {split: [] for split in SPLITS}
    # a file may have several names
    name_of: dict[tuple[int, int], str] = {}
    groups: dict[Pair, str] = {}
    for split, lines in entries.items():
        samples: dict[tuple[str, ...], Pair] = {}
        for line in dict.fromkeys(lines[is_header(lines) :]):
            paths = parse_pair(root, line)
            if paths is None:
                return None
            names = tuple(name_of.setdefault(_file_identity(root / path), path) for path in paths)
            pair = samples.setdefault(names, Pair(without_extension(paths[0]), *paths))
            groups[pair] = names[0]
        result[split] = list(samples.values())
    pairs = [pair for split in SPLITS for pair in result[split]]
    require_disjoint(root, result, [groups[pair] for pair in pairs], pairs)
    return result


def is_header(lines: Sequence[str]) -> bool:
    """Return whether the first line of several names two columns, such as `image,mask`."""
    names = re.split(r"[\t,]", lines[0])
    return len(lines) > 1 and len(names) == 2 and not any(PurePosixPath(name.strip()).suffix for name in names)


def _file_identity(path: Path) -> tuple[int, int]:
    """Return device and inode of a file, which are equal for all of its names."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def parse_pair(root: Path, line: str) -> tuple[str, str] | None:
    """Return the paths of the image and the mask in a line, relative to the root if below it, or None."""
    for parts in (line.split("\t"), line.split(","), line.split()):
        paths = [expand_home(part.strip()) for part in parts]
        if len(paths) == 2 and all((root / path).is_file() for path in paths):
            image, mask = (_shortest(root, path) for path in paths)
            return image, mask
    return None


def _shortest(root: Path, path: str) -> str:
    """Return the path of a file, relative to the root if it is below it, and without `..` where that is the same."""
    relative = relative_to(root, path)
    # behind a link, `..` is another folder
    is_same = (root / relative).is_file() and (root / relative).samefile(root / path)
    return relative if is_same else PurePosixPath(path).as_posix()
