"""Hash of a part of this package's source, as the version of results in the disk cache that follow from it."""

import functools
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable


@functools.cache
def source_digest(*parts: str) -> str:
    """Return a SHA-256 hash of source files; unlike the package's version, it changes during development, too.

    Args:
        parts: Modules and folders of modules, relative to the package: `list/cost.py`, `data/io`.
    """
    digest = hashlib.sha256()
    for part in parts:
        for name, module in _modules(part, files("lightseg") / part):
            source = module.read_bytes()
            digest.update(f"{name}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()


def _modules(name: str, place: Traversable) -> Iterator[tuple[str, Traversable]]:
    """Yield the modules at a place, with their paths in the package, in a fixed order."""
    if place.is_file():
        yield name, place
        return
    for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() or entry.name.endswith(".py"):
            yield from _modules(f"{name}/{entry.name}", entry)
