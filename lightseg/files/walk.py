"""Walk over the files below a folder, safe against circular links."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path


def walk(root: str, skipped: tuple[str, ...] = (".",)) -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each folder below the root, with a trailing `/`, and its files; the root's path is empty.

    Folders are sorted by name, each before its subfolders, and files by name. Links are followed unless they lead back
    to a parent folder. Hidden files are skipped.

    Args:
        root: The folder.
        skipped: Prefixes of the names of folders to skip.

    Raises:
        OSError: If a folder cannot be read.
    """
    # iterative, since Python's recursion is limited to a thousand levels
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        inside, above = pending.pop()
        folder = f"{root}/{inside[:-1]}" if inside else root
        state = os.stat(folder)  # noqa: PTH116 - a path for each folder would take five times as long
        identity = state.st_dev, state.st_ino
        if identity in above:
            continue
        folders, files = _entries(folder)
        yield inside, sorted(name for name in files if not name.startswith("."))
        names = sorted((name for name in folders if not name.startswith(skipped)), reverse=True)
        above |= {identity}
        pending += [(f"{inside}{name}/", above) for name in names]


def matches(pattern: str) -> Iterator[str]:
    """Yield the paths that `glob.iglob` finds, but follow circular links once instead of 40 levels.

    Args:
        pattern: A pattern such as `runs/**/unet*`; `**` matches any number of folders.

    Raises:
        OSError: If a folder cannot be read.
    """
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207 - of a Path it could not be absolute
        return
    first = parts.index("**")
    for root in glob.iglob(str(Path(*parts[:first]))):  # noqa: PTH207
        for inside, _ in walk(root) if Path(root).is_dir() else ():
            folder = Path(glob.escape(root), glob.escape(inside))
            for rest in [parts[first + 1 :]] if parts[first + 1 :] else [(), ("*",)]:
                yield from matches(str(folder.joinpath(*rest)))


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                (folders if entry.is_dir() else files).append(entry.name)
            except OSError:
                # a circular link, whose error is raised when it is read
                files.append(entry.name)
    return folders, files
