"""Facts that cost a pass over the data, remembered as small JSON files in the user's cache folder."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


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


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write instead of `path`, which it becomes when all of it is there; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    yield temporary
    temporary.replace(path)
