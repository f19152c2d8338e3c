"""Results that cost a pass over the data, kept as files in the user's cache folder, each with its checksum."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash
from lightning.pytorch.utilities import rank_zero_only

from lightseg.files.atomic import atomic_write

_Value = TypeVar("_Value")

_DIGEST_BYTES = 8

_UNWRITTEN: dict[Path, Any] = {}
"""Values whose files cannot be written, so that this process need not compute them again."""


def cache_dir() -> Path:
    """Return `$LIGHTSEG_CACHE`, else `lightseg` in the user's cache folder."""
    try:
        if folder := os.environ.get("LIGHTSEG_CACHE"):
            return Path(folder).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lightseg"
    except RuntimeError:
        # who has no home, or names a user who is none, has no cache: nothing can be made below this file
        return Path(os.devnull, "lightseg")


def cached(key: str, compute: Callable[[], Any]) -> Any:
    """Return the JSON value of a key, computed and stored on the first call.

    A cache that cannot be written is no error: it only costs the next run one more pass.

    Args:
        key: Name of the file, without its suffix.
        compute: Gives the value.
    """

    def write(path: Path, value: Any) -> None:
        text = json.dumps(value)
        path.write_text(f"{text}\n{checksum(text.encode())}\n", encoding="utf-8")

    return _read_or_compute(cache_dir() / f"{key}.json", _read_json, compute, write)


def cached_array(
    key: str, compute: Callable[[], npt.NDArray[np.int64]], shape: tuple[int, ...] | None = None
) -> npt.NDArray[np.int64]:
    """As `cached`, for an int64 array, which may be large: the processes of a machine map one file, read-only.

    Args:
        key: Name of the file, without its suffix.
        compute: Gives the array.
        shape: Shape that the array must have, if it is known.
    """
    return cached_table(cache_dir() / f"{key}.npy", compute, np.int64, shape)


def cached_table(
    path: Path,
    compute: Callable[[], npt.NDArray[Any]],
    dtype: npt.DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
) -> npt.NDArray[Any]:
    """As `cached_array`, for an array of any type in a given file."""

    def read(path: Path) -> npt.NDArray[Any]:
        table = map_table(path)
        if (dtype is not None and table.dtype != dtype) or (shape is not None and table.shape != shape):
            raise ValueError(f"{path}: is another table ({table.dtype}, {table.shape})")
        return table

    def write(temporary: Path, table: npt.NDArray[Any]) -> None:
        with temporary.open("wb") as file:
            write_table(file, table)

    return _read_or_compute(path, read, compute, write)


def checksum(*parts: Any) -> int:
    """Return the 64-bit checksum (XXH3) of buffers, one behind the other."""
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
    return digest.intdigest()


def write_table(file: BinaryIO, table: npt.NDArray[Any]) -> None:
    """Write an array in NumPy's format, then the checksum of all that."""
    hashed = _HashedWriter(file)
    np.save(hashed, table, allow_pickle=False)
    file.write(hashed.digest.digest())


def map_table(path: Path) -> npt.NDArray[Any]:
    """Map an array that `write_table` has written.

    Raises:
        OSError: If it cannot be read.
        ValueError: If its content is not what was written.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
        digest = xxhash.xxh3_64_digest(content.data[:-_DIGEST_BYTES])
        if digest != content[-_DIGEST_BYTES:].tobytes():
            raise ValueError
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except OSError:
        raise
    except Exception:  # a header can be such that NumPy raises nearly anything
        raise ValueError(f"{path}: is damaged, or of another version") from None


warn: Callable[[str], None] = rank_zero_only(lambda text: print(f"warning: {text}", file=sys.stderr, flush=True))
"""Print a warning, in the first process of a run."""


def describe(error: OSError | ValueError) -> str:
    """Return the file that an error is about, and the reason."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


class _HashedWriter:
    """File that computes the checksum of what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, xxhash.xxh3_64()

    def write(self, content: bytes) -> int:
        """Write some bytes."""
        self.digest.update(content)
        return self._file.write(content)


def _read_json(path: Path) -> Any:
    """Return the value that `cached` has written.

    Raises:
        OSError: If it cannot be read.
        ValueError: If its content is not what was written.
    """
    text, _, digest = path.read_bytes().removesuffix(b"\n").rpartition(b"\n")
    if digest != str(checksum(text)).encode():
        raise ValueError(f"{path}: is damaged, or of another version")
    return json.loads(text)


def _read_or_compute(
    path: Path,
    load: Callable[[Path], _Value],
    compute: Callable[[], _Value],
    write: Callable[[Path, _Value], None],
) -> _Value:
    """Return what a file holds; where it is missing or damaged, which is said, compute it and write the file."""
    try:
        return load(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        warn(f"{describe(error)}; it is made again")
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    if path in _UNWRITTEN:
        return _UNWRITTEN[path]  # type: ignore[no-any-return]
    value = compute()
    try:
        with atomic_write(path) as temporary:
            write(temporary, value)
        return load(path)
    except OSError:
        _UNWRITTEN[path] = value
        return value
