"""Data module of a folder of images with a folder for each class."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lightseg.data.datasets.label_data_module import LabelDataModule
from lightseg.data.datasets.label_dataset import LabeledImage
from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.image_files import SKIPPED_FOLDERS, describe_folder, list_images, normal_name
from lightseg.data.splits import SPLIT_OF, Splits, require_no_splits, without_links
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError, did_you_mean
from lightseg.files.names import IMAGE_SUFFIXES


class _Parent(NamedTuple):
    """Folder that holds the folders of the classes.

    Attributes:
        split: Its split; None if no folders define splits.
        path: Path relative to the root, with `/` at its end; empty for the root.
        names: Names of the folders in it.
    """

    split: Split | None
    path: str
    names: list[str]


class ImageFolder(LabelDataModule):
    """Images in a folder for each class, without code.

    Two layouts are recognized: a folder for each class (`cat/1.jpg`), split by fractions or list files, and such
    folders below `train`, `val` and `test` (`train/cat/1.jpg`), of which `val` may be missing and is then a fraction of
    `train`; without `test`, that split is empty. Fractions apply to each class by itself, unless `group` is set. Hidden
    folders are left out.

    Args:
        classes: Class names in the order of their ids; a folder of another name is an error. By default, the names of
            the folders, sorted, or by value if all are whole numbers.
        nested: Treatment of folders inside the folder of a class: `error`, or `merge`, which takes their images as
            images of the class.
        **kwargs: Options of `FileDataModule`: reading of images, splits and groups.

    Raises:
        ConfigError: If the classes contradict each other.
    """

    def __init__(
        self, classes: list[str] | None = None, nested: Literal["error", "merge"] = "error", **kwargs: Any
    ) -> None:
        super().__init__(classes=classes, **kwargs)
        self._nested = nested

    def _find_classes(self) -> Iterable[str]:
        parents = self._parents
        names = {normal_name(name) for parent in parents for name in parent.names}
        if parents[0].split is None:
            require_no_splits(
                self.root,
                names,
                "put a folder for each class into them; if they are classes, list them in data.classes",
            )
        return names

    @cached_property
    def _parents(self) -> Sequence[_Parent]:
        """Return the folders that hold the folders of the classes: the root, or one for each split.

        Raises:
            DataError: If there are none, or one is of no split.
        """
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(f"{root}: {describe_folder(root, [])}; set data.root")
        splits = {} if self._lists else self._split_folders(root)
        parents = [_Parent(split, f"{name}/", _folders_in(root / name)) for name, split in splits.items()]
        if not parents:
            parents = [_Parent(None, "", _folders_in(root))]
        if not parents[0].names:
            raise DataError(
                f"{root}: has no folder for each class, such as cat/1.jpg and dog/1.jpg; {describe_folder(root, [])}"
            )
        return parents

    def _split_folders(self, root: Path) -> dict[str, Split]:
        """Return the folders of the splits, in the order of the splits; empty without a folder of `train`.

        Raises:
            DataError: If a folder beside them is of no split, or a split has two.
        """
        names = _folders_in(root)
        splits = {
            name: SPLIT_OF[name]
            for name in names
            if name in SPLIT_OF and name not in (self._declared or ()) and _folders_in(root / name)
        }
        if "train" not in splits.values():
            return {}
        for name in names:
            if name not in splits:
                reason = "has no folders of classes" if name in SPLIT_OF else "is of no split"
                raise DataError(
                    f"{root / name}: {reason}, but {' and '.join(splits)} beside it are splits; "
                    "rename it to train, val or test, or move it away"
                )
        if len(splits) > len(set(splits.values())):
            raise DataError(f"{root}: two of {', '.join(splits)} are one split; move them into one folder")
        return dict(sorted(splits.items(), key=lambda item: SPLITS.index(item[1])))

    def _find_splits(self) -> Splits[LabeledImage]:
        splits: Splits[LabeledImage] = {split: [] for split in SPLITS}
        samples: list[LabeledImage] = []
        for parent in self._parents:
            self._require_no_loose_images(parent)
            for name in parent.names:
                folder_samples = self._read(f"{parent.path}{name}/", normal_name(name))
                (samples if parent.split is None else splits[parent.split]).extend(folder_samples)
        if self._parents[0].split is None:
            splits = self._split_without_folders(samples)
        else:
            splits = self._complete(splits, self._strata(splits["train"]))
        return without_links(Path(self.root), splits)

    def _require_no_loose_images(self, parent: _Parent) -> None:
        """Report images that lie beside the folders of the classes."""
        folder = Path(self.root) / parent.path
        loose = [parent.path + name for name in _images_in(folder)]
        if loose:
            more = f", like {len(loose) - 1} more" if len(loose) > 1 else ""
            message = (
                f"{Path(self.root) / loose[0]}: lies in no folder of a class{more}; "
                f"move it into that of its class, or out of {folder}"
            )
            report(LayoutError("image without class", message, loose))

    def _read(self, path: str, name: str) -> list[LabeledImage]:
        """Return the samples of a class in the folder of a path relative to the root; report what is wrong with it."""
        folder = Path(self.root) / path
        if name not in self.classes:
            hint = did_you_mean(name, self.classes) or "; add it to data.classes, or move it away"
            report(LayoutError("undeclared class", f"{folder}: {name} is not in data.classes{hint}", [path]))
            return []
        images = list(list_images(folder))
        if not images:
            message = f"{folder}: has no image of the class; add some, or remove it ({describe_folder(folder, [])})"
            report(LayoutError("empty class", message, [path]))
        nested = [image for image in images if "/" in image]
        if nested and self._nested == "error":
            message = (
                f"{folder / nested[0]}: lies in a folder inside that of the class {name} ({len(nested)} of "
                f"{len(images)} images do); set data.nested: merge if they are of the class, or another data.root"
            )
            report(LayoutError("nested folder", message, [path + image for image in nested]))
        label = self.classes.index(name)
        return [LabeledImage(path + image, label) for image in images]


def _folders_in(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(SKIPPED_FOLDERS) and path.is_dir())


def _images_in(folder: Path) -> list[str]:
    """Return the sorted names of the images in a folder, without hidden ones."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
