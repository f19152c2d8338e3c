"""Atomic writing of files and folders, locks of folders, and checks of paths."""

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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightseg.errors import UserError

_HOME = re.compile(r"^(--[\w.+]+=)?~(?=/|$)")


def write_atomically(path: Path, text: str) -> None:
    """Write a file atomically: readers see the old or the new content, also after a crash."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON atomically."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file, which replaces `path` once its content is on the disk; creates the folder.

    After an error the temporary file is removed. A pipe or a device is written to directly; a link is kept, and its
    target replaced.
    """
    path = path.resolve()
    is_direct = path.exists() and not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path if is_direct else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        if is_direct:
            return
        _flush(temporary)
        temporary.replace(path)
    except BaseException as error:
        if not is_direct:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            # the error of a full disk has no file name
            error.filename = error.filename or str(path)
        raise
    # some file systems cannot sync a folder
    with contextlib.suppress(OSError):
        _flush(path.parent)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces `folder` at the end; it is removed after an error."""
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
        for leftover in (temporary, former):
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def flushed(path: Path) -> Iterator[Any]:
    """Yield an open file, whose content is synced to the disk at the end."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def locked(
    folder: Path, busy: str = "another process is training in it; wait for its end, or stop it"
) -> Iterator[None]:
    """Lock a run folder for this process; the lock ends with the process, even if it is killed.

    Args:
        folder: The folder.
        busy: Message if another process holds the lock.

    Raises:
        UserError: If another process holds the lock, or the lock is not a regular file.
    """
    with _lock_file(folder) as file:
        try:
            # POSIX locks are not inherited, so that worker processes that outlive this one do not hold it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # other errors: the file system has no locks
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UserError(f"{folder}: {busy}") from None
        yield


@contextlib.contextmanager
def file_lock(folder: Path, message: str = "") -> Iterator[None]:
    """Lock a folder, after waiting for other processes; create it if it does not exist.

    Args:
        folder: The folder.
        message: Line to print before waiting; nothing by default.

    Raises:
        UserError: If the lock is not a regular file.
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
    """Yield the descriptor of a folder's lock file, created if missing; links are not followed."""
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
    """Check that a path is a regular file; opening a pipe or a device could block forever.

    Args:
        path: The file; a missing file is accepted.
        error: Class of the error.

    Raises:
        UserError: If it is not.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is not a regular file; bring the file back, or leave it out")


def require_in_place(path: Path, advice: str) -> None:
    """Check that a path inside a run folder is not a link, a pipe or a device, which could lead anywhere.

    Args:
        path: A file or folder that is written by default.
        advice: Fix, the end of the message.

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
    """Replace a leading `~/` of strings, or of the part behind `--option=`, by the home folder.

    Args:
        value: A string, or nested lists and mappings with strings; other values are returned unchanged.
    """
    if isinstance(value, str):
        return _HOME.sub(lambda match: f"{match[1] or ''}{os.path.expanduser('~')}", value)  # noqa: PTH111
    if isinstance(value, list):
        return [expand_home(item) for item in value]
    if isinstance(value, dict):
        return {key: expand_home(item) for key, item in value.items()}
    return value


def require_no_broken_link(path: Path, option: str) -> None:
    """Check that no part of a path is a broken or circular link.

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
    """Check that a file can be written, before the work whose result it will hold.

    Raises:
        UserError: If not.
    """
    require_no_broken_link(path, option)
    reason = None
    if path.is_dir():
        reason = "is a folder; give the name of a file"
    elif not path.exists() and not path.parent.is_dir():
        reason = f"there is no folder {path.parent}; make it, or give another place"
    elif path.exists() and not os.access(path, os.W_OK):
        reason = "cannot be written: permission denied"
    elif (path.is_file() or not path.exists()) and (refusal := _refusal(path.resolve().parent)):
        # a regular file is replaced by one that is made beside it
        reason = f"cannot be written: {refusal}"
    if reason:
        raise UserError(f"{option} {path}: {reason}")


def nearest_folder(path: Path, option: str) -> Path:
    """Return the nearest existing folder of a path, after a check that the path can be created as a folder.

    Raises:
        UserError: If it is not a folder or not writable, or the path has a broken link.
    """
    require_no_broken_link(path, option)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise UserError(f"{option} {path}: {'is' if nearest == path else f'{nearest} is'} a file; give a folder")
    if refusal := _refusal(nearest):
        raise UserError(f"{option} {path}: cannot write to {nearest}: {refusal}")
    return nearest


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def combined_sha256(files: Sequence[Path]) -> str:
    """Return the SHA-256 hash of a file; of several, that of their hashes."""
    hashes = [sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _refusal(folder: Path) -> str | None:
    """Return the reason why a file cannot be created in a folder, by trying; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return os.strerror(error.errno or 0).lower()


def _flush(path: Path) -> None:
    """Sync a file's content, or a folder's entries, to the disk, so that a rename cannot precede the content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
