"""Run folder: created once, never reused."""

import contextlib
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from lightseg.errors import UserError

_NAME_BYTES = 200
"""Limit of the name of an experiment in bytes; file systems allow 255."""


def require_name(name: str) -> None:
    """Check that the name of an experiment is a valid name of a folder in RUNS_DIR.

    Raises:
        UserError: If it is not.
    """
    has_folder = "/" in name or "\\" in name or name in (".", "..")
    if has_folder or not name.isprintable() or name != name.strip() or not 0 < len(name.encode()) <= _NAME_BYTES:
        raise UserError(
            f"--name {name[:_NAME_BYTES]!r}: is no name of a folder; "
            f"give up to {_NAME_BYTES} printable characters without / and \\"
        )


def new_stamp() -> str:
    """Return a name of a new folder: `<utc>-<hex>`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def create(runs_dir: str, name: str, stamp: str | None = None) -> Path:
    """Create `RUNS_DIR/NAME/STAMP/`, a new folder.

    Args:
        runs_dir: The folder that holds the folders of experiments.
        name: Name of the experiment.
        stamp: Name of the folder; None for a new one.

    Raises:
        UserError: If it cannot be created.
    """
    folder = Path(runs_dir).resolve() / name / (stamp or new_stamp())
    try:
        folder.mkdir(parents=True, exist_ok=False)
    except OSError as error:
        # a dangling link exists, too, but no other name would help there
        if isinstance(error, FileExistsError) and folder.exists() and stamp is None:
            return create(runs_dir, name)
        raise UserError(f"--runs_dir {runs_dir}: cannot make {folder}: {error.strerror}") from None
    return folder


def discard(folder: Path) -> None:
    """Remove a run folder, and the folders above it that `create` has created for it if they are empty then."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            parent.rmdir()
