"""Files of images beside those of a data set that are skipped, since their format is not read."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.file_dataset import FileDataset
from lightseg.files.names import UNREAD_SUFFIXES


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


def describe_unread(files: Iterable[str]) -> str:
    """Return the number of files by suffix, such as `'.heic' (3), '.dng' (1)`."""
    suffixes = Counter(Path(file).suffix.lower() for file in files)
    return ", ".join(f"{suffix!r} ({number})" for suffix, number in suffixes.most_common())
