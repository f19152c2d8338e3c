"""Walk over the files below a folder, safe against circular links."""

import glob
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lightseg.errors import UserError

_MOST_PATHS = 300
"""Paths on which one link may lie; folders that are linked under several names have some, eight that link to each
other thousands."""


def walk(root: str, skipped: tuple[str, ...] = (".",)) -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each folder below the root, with a trailing `/`, and its files; the root's path is empty.

    Folders come in order of name, each before those in it, and files in order of name. Links are followed, but not
    those that lead back to a folder that they are in. A folder may so have several paths, as many as its links give
    it; where a link lies on more than 300 paths, folders link to each other, and these paths would have no end.
    Hidden files are left out, and folders that are removed meanwhile.

    Args:
        root: The folder.
        skipped: Prefixes of the names of folders to skip.

    Raises:
        OSError: If a folder cannot be read.
        UserError: If a link lies on too many paths.
    """
    # iterative, since Python's recursion is limited to a thousand levels
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    paths: Counter[tuple[int, int, str]] = Counter()
    while pending:
        inside, above = pending.pop()
        folder = f"{root}/{inside[:-1]}" if inside else root
        try:
            state = os.stat(folder)  # noqa: PTH116 - a path for each folder would take five times as long
            identity = state.st_dev, state.st_ino
            if identity in above:
                continue
            folders, links, files = _entries(folder)
        except (FileNotFoundError, ProcessLookupError):
            # a folder that was removed since its name was read
            if inside:
                continue
            raise
        for name in links:
            paths[*identity, name] += 1
            if paths[*identity, name] > _MOST_PATHS:
                raise UserError(
                    f"{os.path.realpath(folder)}/{name}: this link lies on more than {_MOST_PATHS} paths, because "
                    "folders link to each other; remove some of their links"
                )
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
            for tail in [parts[first + 1 :]] if parts[first + 1 :] else [(), ("*",)]:
                yield from matches(str(folder.joinpath(*tail)))


def _entries(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the folders, of those that are links, and of the files in a folder."""
    folders: list[str] = []
    links: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:
                # a link to itself, which is reported when it is read
                is_folder = False
            (folders if is_folder else files).append(entry.name)
            if is_folder and entry.is_symlink():
                links.append(entry.name)
    return folders, links, files
