"""Record in a run folder of the run that shows it elsewhere, so that a resume continues that run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightseg.errors import DataError
from lightseg.files.atomic import require_in_place
from lightseg.files.limited import read_limited

_BYTES = 2**20
"""Limit of the size of a record in bytes."""


def read_identity(path: Path, keys: Sequence[str], tool: str) -> dict[str, Any]:
    """Return the record of a run of a tool; empty if there is none.

    Args:
        path: The file, such as `wandb.json`.
        keys: Keys whose values must be text or missing.
        tool: Name of the tool, for messages.

    Raises:
        DataError: If the file is damaged.
        UserError: If it is a link, or not a regular file.
    """
    # checked before anything is sent, since it is written afterwards
    require_in_place(path, f"remove it, and the run becomes a new one in {tool}")
    try:
        record: dict[str, Any] = json.loads(read_limited(path, _BYTES)) if path.exists() else {}
        if not isinstance(record, dict) or not all(isinstance(record.get(name), str | None) for name in keys):
            raise ValueError("it names no run")
    except (ValueError, RecursionError):
        raise DataError(f"{path} is damaged; delete it, and the run becomes a new one in {tool}") from None
    return record
