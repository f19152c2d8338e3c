"""Listing of a folder by kind of file, without reading any."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lightseg.data.io.image_files import SKIPPED_FOLDERS, describe_folder
from lightseg.data.splits import SPLIT_OF
from lightseg.data.types import SPLITS, Split
from lightseg.errors import DataError
from lightseg.files.names import ANNOTATION_SUFFIXES, IMAGE_SUFFIXES
from lightseg.files.walk import walk

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
_TEXT_SUFFIXES = (".txt", ".lst", ".names", ".csv", ".tsv")


class Place(NamedTuple):
    """Position of a folder of images in the layouts `split/group/…` and `group/split/…`.

    Attributes:
        folder: The folder, relative to the root; empty for the root.
        split: Split that a part of the path names; None without one.
        group: First part of the path that is no split, such as `images` or `cat`; `.` without one.
        inside: Rest of the path.
    """

    folder: str
    split: Split | None
    group: str
    inside: str


@dataclass(frozen=True)
class Listing:
    """Files below a folder.

    Attributes:
        root: The folder.
        images: Names of the images in each folder, whose path is relative to the root and empty for the root.
        tables: Paths of the tables, relative to the root.
        texts: Paths of the text files, likewise.
        documents: Paths of the JSON, YAML and XML files, which may be annotations, likewise.
    """

    root: Path
    images: dict[str, list[str]]
    tables: list[str]
    texts: list[str]
    documents: list[str] = field(default_factory=list)

    @property
    def num_images(self) -> int:
        """Return the number of images."""
        return sum(map(len, self.images.values()))

    def groups(self) -> dict[str, dict[Place, list[str]]]:
        """Return the names of the images by group and place."""
        groups: dict[str, dict[Place, list[str]]] = {}
        for folder, names in self.images.items():
            place = _place(folder)
            groups.setdefault(place.group, {})[place] = names
        return groups

    @property
    def splits(self) -> list[Split]:
        """Return the splits that folders name, in their usual order."""
        names = {_place(folder).split for folder in self.images}
        return [split for split in SPLITS if split in names]

    def describe(self) -> str:
        """Return the content of the root, for messages."""
        return describe_folder(self.root, [])

    def descend(self) -> "Listing":
        """Return the listing of the folder that holds all images and tables: the root, or one below it."""
        tops = {folder.partition("/")[0] for folder in self.images}
        if len(tops) != 1 or self.tables or (top := tops.pop()) in ("", *SPLIT_OF):
            return self
        images = {folder.removeprefix(top).removeprefix("/"): names for folder, names in self.images.items()}
        texts = [path.removeprefix(f"{top}/") for path in self.texts if path.startswith(f"{top}/")]
        return Listing(self.root / top, images, [], texts).descend()


def list_folder(root: Path) -> Listing:
    """List the images, tables, text files and documents below a folder; hidden ones are left out.

    Raises:
        DataError: If the folder does not exist.
    """
    if not root.is_dir():
        raise DataError(f"{root}: {'is a file; give a folder' if root.exists() else describe_folder(root, [])}")
    listing = Listing(root, {}, [], [])
    for inside, files in walk(str(root), SKIPPED_FOLDERS):
        suffixes = [Path(name).suffix.lower() for name in files]
        images = [name for name, suffix in zip(files, suffixes, strict=True) if suffix in IMAGE_SUFFIXES]
        if images:
            listing.images[inside.rstrip("/")] = images
        for name, suffix in zip(files, suffixes, strict=True):
            if suffix in TABLE_SUFFIXES:
                listing.tables.append(inside + name)
            if suffix in _TEXT_SUFFIXES:
                listing.texts.append(inside + name)
            if suffix in ANNOTATION_SUFFIXES:
                listing.documents.append(inside + name)
    return listing


def _place(folder: str) -> Place:
    parts = folder.split("/") if folder else []
    for index in (0, 1):
        if len(parts) > index and parts[index] in SPLIT_OF:
            split = SPLIT_OF[parts.pop(index)]
            break
    else:
        split = None
    return Place(folder, split, parts[0] if parts else ".", "/".join(parts[1:]))
