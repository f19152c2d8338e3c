"""Files of images beside those of a data set: of formats that are not read, or that it does not use."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.data.io.image_files import file_identity
from lightseg.files.names import IMAGE_SUFFIXES, UNREAD_SUFFIXES


def unread_files(parts: Iterable[ImageDataset]) -> list[str]:
    """Return the image files of formats that are not read, in the folders of the images of a data set.

    Args:
        parts: Its datasets.
    """
    folders = {folder for part in parts if isinstance(part, FileDataset) for folder in part.folders()}
    return sorted(
        entry.path
        for folder in folders
        for entry in os.scandir(folder)
        if Path(entry.name).suffix.lower() in UNREAD_SUFFIXES
    )


def unused_images(parts: Iterable[ImageDataset]) -> list[str]:
    """Return the images in the folders of the images of a data set that it does not use, relative to its root.

    Args:
        parts: Its datasets.
    """
    datasets = [part for part in parts if isinstance(part, FileDataset)]
    # a file may have several names
    used = {file_identity(str(part.root / file)) for part in datasets for file in part.files()}
    roots = {folder: part.root for part in datasets for folder in part.folders()}
    return sorted(
        os.path.relpath(entry.path, root)
        for folder, root in roots.items()
        for entry in os.scandir(folder)
        if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
        and not entry.name.startswith(".")
        and file_identity(entry.path) not in used
    )


def describe_unread(files: Iterable[str]) -> str:
    """Return the number of files by suffix, such as `'.heic' (3), '.dng' (1)`."""
    suffixes = Counter(Path(file).suffix.lower() for file in files)
    return ", ".join(f"{suffix!r} ({number})" for suffix, number in suffixes.most_common())
