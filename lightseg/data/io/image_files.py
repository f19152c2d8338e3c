"""Image files of a folder: their paths, the forms of their names, and the description of a folder that lacks some."""

import difflib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lightseg.errors import DataError
from lightseg.files.names import IMAGE_SUFFIXES
from lightseg.files.printable import join_names
from lightseg.files.walk import walk

EXTENSIONS = {suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES}
"""Extensions of images, in lower case and without the point."""

SKIPPED_FOLDERS = (".", "__")
"""First characters of the names of folders that editors and systems create."""

_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that tables, lists and hashes of names cannot hold: control characters, and bytes that are not UTF-8."""


def list_images(folder: Path) -> Iterator[str]:
    """Yield the paths of the images below a folder, relative to it, in order; hidden folders are left out.

    Raises:
        DataError: If the name of an image cannot be written as text.
    """
    for subfolder, names in walk(str(folder), SKIPPED_FOLDERS):
        for file in names:
            # strings: a million files take a second, and half a minute as `Path`
            path = subfolder + file
            _, point, extension = path.rpartition(".")
            if point and (extension in EXTENSIONS or extension.lower() in EXTENSIONS):
                if not is_writable(path):
                    raise DataError(
                        f"{folder}: the name {path!a} is not UTF-8 or holds a control character; rename the file"
                    )
                yield path


def is_writable(name: str) -> bool:
    """Return whether tables, lists and hashes can hold a name."""
    return name.isprintable() or not _UNWRITABLE.search(name)


def file_identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a file, which are equal for all of its names; None if there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - five times as fast as `Path`
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def normal_name(name: str) -> str:
    """Return a name in Unicode's normal form C."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def require_paths(root: Path, paths: Sequence[str], hint: str) -> None:
    """Check that files or folders exist.

    Args:
        root: The dataset's folder.
        paths: Paths relative to the root.
        hint: Instructions for getting the data, the end of the message.

    Raises:
        DataError: If any is missing; the message names the missing paths and the content of the folder.
    """
    absent_names = [name for name in paths if not (root / name).exists()]
    if absent_names:
        raise DataError(f"{root}: {', '.join(absent_names)} not found; {describe_folder(root, absent_names)}\n{hint}")


def describe_folder(root: Path, absent_names: Iterable[str]) -> str:
    """Describe a folder that lacks some names: its content, and a did-you-mean.

    Args:
        root: The folder, which may not exist.
        absent_names: Names that are not in it.
    """
    if root.is_file():
        return "it is a file; give the folder that holds the data"
    if not root.is_dir():
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        near = difflib.get_close_matches(root.name, siblings, 1)
        location = "" if root.is_absolute() else f" (it is relative to the working directory: {root.absolute()})"
        return f"the folder does not exist{location}" + (f"; did you mean {root.parent / near[0]}?" if near else "")
    entries = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    if not entries:
        return "the folder is empty"
    names = {entry.rstrip("/").lower(): entry for entry in entries}
    near = [names[match] for name in absent_names for match in difflib.get_close_matches(name.lower(), names, 1, 0.7)]
    return f"it holds {join_names(entries)}" + (f"; did you mean {' and '.join(dict.fromkeys(near))}?" if near else "")
