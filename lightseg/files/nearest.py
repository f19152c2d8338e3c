"""Nearest existing path to a misspelt one."""

import os
from contextlib import suppress
from pathlib import Path

from lightseg.errors import closest


def nearest_path(path: Path) -> Path | None:
    """Return an existing path whose parts are those of a missing one, or near to them; None if there is none."""
    place = Path(path.anchor)
    for part in path.relative_to(place).parts:
        if not (place / part).exists():
            names: list[str] = []
            with suppress(OSError):
                names = os.listdir(place)  # noqa: PTH208 - the names alone
            near = closest(part, names)
            if near is None:
                return None
            part = near
        place /= part
    return place
