"""Facts that cost a pass over the data, remembered as files in the user's cache folder."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightseg.files import replacing, write_atomically


def cache_dir() -> Path:
    """`$LIGHTSEG_CACHE`, else `lightseg` in the user's cache folder."""
    if "LIGHTSEG_CACHE" in os.environ:
        return Path(os.environ["LIGHTSEG_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lightseg"


def cached(key: str, compute: Callable[[], Any]) -> Any:
    """The JSON value under `key`, computed and stored on the first call; a damaged or unwritable cache is no error."""
    path = cache_dir() / f"{key}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        value = compute()
    # a read-only or full home only costs the next run one more pass
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps(value))
    return value


def cached_array(key: str, compute: Callable[[], npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """As `cached`, for an array, which may be large: the processes of a machine map one file, which none can write."""
    path = cache_dir() / f"{key}.npy"
    try:
        return np.asarray(np.load(path, mmap_mode="r"), np.int64)
    except (OSError, ValueError, EOFError):
        array = compute()
    with contextlib.suppress(OSError), replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
    return array
