"""Run folder: made once, never reused, and enough to repeat and to explain the run."""

import contextlib
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from lightseg.errors import UserError

_NAME_BYTES = 200
"""Bytes of an experiment's name; a folder's may have 255."""


def require_name(name: str) -> None:
    """See that an experiment's name can be that of a folder in RUNS_DIR.

    Raises:
        UserError: If it cannot.
    """
    has_folder = "/" in name or "\\" in name or name in (".", "..")
    if has_folder or not name.isprintable() or name != name.strip() or not 0 < len(name.encode()) <= _NAME_BYTES:
        raise UserError(
            f"--name {name[:_NAME_BYTES]!r}: is no name of a folder; "
            f"give up to {_NAME_BYTES} printable characters without / and \\"
        )


def create(runs_dir: str, name: str) -> Path:
    """Make `RUNS_DIR/NAME/<utc>-<hex>/`, a folder that did not exist before.

    Raises:
        UserError: If it cannot be made.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = Path(runs_dir).resolve() / name / f"{now}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True, exist_ok=False)
    except OSError as error:
        # not where a link that leads nowhere is in the way
        if isinstance(error, FileExistsError) and folder.exists():
            return create(runs_dir, name)
        raise UserError(f"--runs_dir {runs_dir}: cannot make {folder}: {error.strerror}") from None
    return folder


def discard(folder: Path) -> None:
    """Remove a run folder, and the folders above it that `create` has made for it and that hold nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for above in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            above.rmdir()
