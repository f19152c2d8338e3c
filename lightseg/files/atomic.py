"""Files that are written whole or not at all, and folders that one process at a time works in."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightseg.errors import UserError

_HOME = re.compile(r"^(--[\w.+]+=)?~(?=/|$)")


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a file to write, which takes the place of `path` when all of it is on the disk; its folder is made.

    Where the writing fails, nothing of it stays. What is no file, such as a pipe, is written to as it is; a link stays.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            # an error of writing, such as a full disk, does not say where
            error.filename = error.filename or str(path)
        raise
    # not every file system can do this to a folder
    with contextlib.suppress(OSError):
        _flush(path.parent)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which takes the place of `folder` when it is full; a failure leaves nothing."""
    temporary, former = (folder.with_name(f".{folder.name}.{os.getpid()}{suffix}") for suffix in ("", ".former"))
    for stale in (temporary, former):
        shutil.rmtree(stale, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            folder.rename(former)
        temporary.rename(folder)
    except BaseException:
        if former.exists():
            former.rename(folder)
        raise
    finally:
        for rest in (temporary, former):
            shutil.rmtree(rest, ignore_errors=True)


@contextlib.contextmanager
def flushed(path: Path) -> Iterator[Any]:
    """Yield a file to write, which is on the disk afterwards."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def locked(
    folder: Path, busy: str = "another process is training in it; wait for its end, or stop it"
) -> Iterator[None]:
    """Keep a run folder to one run: a lock that ends with the process, however that ends.

    Args:
        folder: The folder.
        busy: What to say where another process has it.

    Raises:
        UserError: If another process has it, or its lock is no file that lightseg has made.
    """
    with _lock_file(folder) as file:
        try:
            # of this process alone: loading processes that outlive it for a moment must not hold it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # a file system that knows no locks has none to offend against
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UserError(f"{folder}: {busy}") from None
        yield


@contextlib.contextmanager
def file_lock(folder: Path, message: str = "") -> Iterator[None]:
    """Wait until no other process works in a folder, which is made if need be; the turn ends with the process.

    Args:
        folder: The folder.
        message: What to print where there is one to wait for; nothing for work of a moment.

    Raises:
        UserError: If its lock is no file that lightseg has made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _lock_file(folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            if message:
                print(message, file=sys.stderr, flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _lock_file(folder: Path) -> Iterator[int]:
    """Yield the open lock of a folder, which is made if need be; nothing is written to it, and no link is followed."""
    path = folder / ".lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        raise UserError(f"{path}: is a link, or no regular file; remove it") from None
    try:
        require_regular(path)
        yield file
    finally:
        os.close(file)


def require_regular(path: Path, error: type[UserError] = UserError) -> None:
    """Refuse a pipe, a device or a folder in place of a file to read: opening one may never return.

    Args:
        path: The file; a missing one is left to whoever opens it.
        error: What to raise.

    Raises:
        UserError: If it is none.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is not a regular file; bring the file back, or leave it out")


def require_in_place(path: Path, advice: str) -> None:
    """Refuse a link, a pipe or a device at a place in a run folder that nobody has named: it may lead anywhere.

    Args:
        path: A file or folder that is written by default.
        advice: What to do.

    Raises:
        UserError: If it is one.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path}: is a link, a pipe or a device, and is not written through; {advice}")


def expand_home(value: Any) -> Any:
    """Return a value with `~/` at the beginning of its texts, or of their part behind `--option=`, as the home folder.

    Args:
        value: Text, or lists and mappings that hold such; anything else comes back as it is.
    """
    if isinstance(value, str):
        return _HOME.sub(lambda match: f"{match[1] or ''}{os.path.expanduser('~')}", value)  # noqa: PTH111
    if isinstance(value, list):
        return [expand_home(item) for item in value]
    if isinstance(value, dict):
        return {key: expand_home(item) for key, item in value.items()}
    return value


def require_no_broken_link(path: Path, option: str) -> None:
    """See that no part of a path is a link that leads nowhere, or to itself: nothing can be made there.

    Raises:
        UserError: If one is.
    """
    for place in (path, *path.parents):
        if place.is_symlink() and not place.exists():
            place_text = "" if place == path else f"{place} "
            raise UserError(
                f"{option} {path}: {place_text}is a link that leads nowhere; remove it, or give another place"
            )


def require_writable(path: Path, option: str) -> None:
    """See that a file can be written later, before any work is done for it.

    Raises:
        UserError: If not.
    """
    require_no_broken_link(path, option)
    reason = None
    if path.is_dir():
        reason = "is a folder; give the name of a file"
    elif not path.exists() and not path.parent.is_dir():
        reason = f"there is no folder {path.parent}; make it, or give another place"
    elif path.exists():
        reason = None if os.access(path, os.W_OK) else "cannot be written: permission denied"
    elif refusal := _refusal(path.parent):
        reason = f"cannot be written: {refusal}"
    if reason:
        raise UserError(f"{option} {path}: {reason}")


def nearest_folder(path: Path, option: str) -> Path:
    """Return the folder that is there of a path and those above it, where a folder at that path can be made later.

    Raises:
        UserError: If that is no folder, nothing can be written to it, or a link in the path leads nowhere.
    """
    require_no_broken_link(path, option)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise UserError(f"{option} {path}: {'is' if nearest == path else f'{nearest} is'} a file; give a folder")
    if refusal := _refusal(nearest):
        raise UserError(f"{option} {path}: cannot write to {nearest}: {refusal}")
    return nearest


def sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refusal(folder: Path) -> str | None:
    """Return why no file can be made in a folder, by trying it; None if one can."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return os.strerror(error.errno or 0).lower()


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk; a rename may overtake its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
