"""Cache of results that take a pass over the data, as checksummed files in the user's cache folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from lightseg.files.atomic import atomic_write
from lightseg.files.printable import warn

_Value = TypeVar("_Value")

_DIGEST_BYTES = 8

_UNWRITTEN: dict[Path, Any] = {}
"""Values whose files cannot be written, so that this process does not compute them again."""


def cache_dir() -> Path:
    """Return `$LIGHTSEG_CACHE`, else `lightseg` in the user's cache folder."""
    try:
        if folder := os.environ.get("LIGHTSEG_CACHE"):
            return Path(folder).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lightseg"
    except RuntimeError:
        # without a home folder there is no cache: nothing can be created below this file
        return Path(os.devnull, "lightseg")


def cached(key: str, compute: Callable[[], Any]) -> Any:
    """Return the JSON value of a key, computed and stored on the first call.

    A cache that cannot be written is no error: the next run computes the value again.

    Args:
        key: Name of the file, without its suffix.
        compute: Computes the value.

    Returns:
        The value, as JSON gives it back.
    """

    def write(path: Path, value: Any) -> None:
        text = json.dumps(value)
        path.write_text(f"{text}\n{checksum(text.encode())}\n", encoding="utf-8")

    return _read_or_compute(cache_dir() / f"{key}.json", _read_json, compute, write)


def cached_array(
    key: str, compute: Callable[[], npt.NDArray[np.int64]], shape: tuple[int, ...] | None = None
) -> npt.NDArray[np.int64]:
    """Return the int64 array of a key, computed and stored on the first call.

    The processes of a machine map one file, so that a large array takes its memory once.

    Args:
        key: Name of the file, without its suffix.
        compute: Computes the array.
        shape: Shape that a stored array must have; None: any.

    Returns:
        The array; read-only where it is mapped.
    """
    return cached_table(cache_dir() / f"{key}.npy", compute, np.int64, shape)


def cached_table(
    path: Path,
    compute: Callable[[], npt.NDArray[Any]],
    dtype: npt.DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
) -> npt.NDArray[Any]:
    """Return the array of a file, computed and written on the first call.

    Args:
        path: The file.
        compute: Computes the array.
        dtype: Type that a stored array must have; None: any.
        shape: Shape that a stored array must have; None: any.

    Returns:
        The array; read-only where it is mapped.
    """

    def read(path: Path) -> npt.NDArray[Any]:
        table = map_table(path)
        if (dtype is not None and table.dtype != dtype) or (shape is not None and table.shape != shape):
            raise ValueError(f"{path}: holds another table ({table.dtype}, {table.shape})")
        return table

    def write(temporary: Path, table: npt.NDArray[Any]) -> None:
        with temporary.open("wb") as file:
            write_table(file, table)

    return _read_or_compute(path, read, compute, write)


def checksum(*parts: Any) -> int:
    """Return the 64-bit checksum (XXH3) of concatenated buffers."""
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
    return digest.intdigest()


def write_table(file: BinaryIO, table: npt.NDArray[Any]) -> None:
    """Write an array in NumPy's format, followed by the checksum of these bytes."""
    writer = _HashedWriter(file)
    np.save(writer, table, allow_pickle=False)
    file.write(writer.digest.digest())


def map_table(path: Path) -> npt.NDArray[Any]:
    """Map a file of `write_table` as a read-only array.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If its content does not match its checksum.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
        digest = xxhash.xxh3_64_digest(content.data[:-_DIGEST_BYTES])
        if digest != content[-_DIGEST_BYTES:].tobytes():
            raise ValueError
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except OSError:
        raise
    except Exception:  # a damaged header makes NumPy raise nearly any exception
        raise ValueError(f"{path}: is damaged, or of another version") from None


def warn_on_rank_zero(text: str) -> None:
    """Print a warning to stderr, on rank zero only."""
    # imported here, since commands that do without torch use the cache, too
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only(warn)(text)


def describe(error: OSError | ValueError) -> str:
    """Return the file and the reason of an error, as one line."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


class _HashedWriter:
    """Binary file that computes the checksum of its content while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, xxhash.xxh3_64()

    def write(self, content: bytes) -> int:
        """Write bytes and add them to the checksum."""
        self.digest.update(content)
        return self._file.write(content)


def _read_json(path: Path) -> Any:
    """Read a file of `cached`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If its content does not match its checksum.
    """
    text, _, digest = path.read_bytes().removesuffix(b"\n").rpartition(b"\n")
    if digest != str(checksum(text)).encode():
        raise ValueError(f"{path}: is damaged, or of another version")
    return json.loads(text)


def _read_or_compute(
    path: Path,
    read_file: Callable[[Path], _Value],
    compute: Callable[[], _Value],
    write_file: Callable[[Path, _Value], None],
) -> _Value:
    """Return the content of a file; compute and write it if the file is missing, or, with a warning, damaged."""
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        warn_on_rank_zero(f"{describe(error)}; it is computed again")
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    if path in _UNWRITTEN:
        return _UNWRITTEN[path]  # type: ignore[no-any-return]
    value = compute()
    try:
        with atomic_write(path) as temporary:
            write_file(temporary, value)
        return read_file(path)
    except OSError:
        _UNWRITTEN[path] = value
        return value
