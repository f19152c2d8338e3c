"""Reading of text files that others may have made: regular files of limited size."""

from pathlib import Path

from lightseg.errors import UserError
from lightseg.files.atomic import require_regular


def require_limited(path: Path, limit: int) -> None:
    """Check that a file is a regular one of limited size; a missing file is accepted.

    Args:
        path: The file.
        limit: Largest size in bytes.

    Raises:
        UserError: If it is a pipe, a device or a folder, or larger.
    """
    require_regular(path)
    if path.is_file() and path.stat().st_size > limit:
        raise UserError(f"{path}: is damaged (it is longer than {limit} bytes); bring it back, or leave it out")


def require_inside(path: Path) -> None:
    """Check that a file is no link that leads out of its folder, to a file that its maker cannot read.

    Raises:
        UserError: If it is one, or links lead in a circle.
    """
    try:
        is_inside = path.resolve(strict=path.is_symlink()).is_relative_to(path.parent.resolve())
    except (OSError, RuntimeError):
        # a circle is a RuntimeError before Python 3.13
        raise UserError(f"{path}: is a link that leads nowhere; put the file in its place") from None
    if not is_inside:
        raise UserError(f"{path}: is a link that leads out of its folder, and is not read; put the file in its place")


def read_limited(path: Path, limit: int, errors: str = "strict") -> str:
    """Read a UTF-8 text of limited size.

    Args:
        path: The file.
        limit: Largest size in bytes.
        errors: Treatment of bytes that are not UTF-8, as in `bytes.decode`.

    Raises:
        UserError: If it is not a regular file, or larger.
        OSError: If it is missing or unreadable.
        UnicodeDecodeError: If it is not UTF-8.
    """
    require_limited(path, limit)
    return path.read_text(encoding="utf-8", errors=errors)
