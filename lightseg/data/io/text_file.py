"""Reading of text files that other programs wrote: UTF-8, or UTF-16 with its mark."""

from pathlib import Path

from lightseg.errors import DataError
from lightseg.files.limited import require_limited

LARGEST = 1 << 31
"""Largest file in bytes; the annotations of COCO take a quarter of that."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, errors: str = "strict") -> str:
    """Read a text file without its byte order mark.

    Args:
        path: The file.
        errors: Treatment of bytes that are not UTF-8, as in `bytes.decode`.

    Raises:
        DataError: If it cannot be read or decoded.
        UserError: If it is a pipe or a device, or larger than `LARGEST`.
    """
    require_limited(path, LARGEST)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    is_utf_16 = content[:2] in _UTF_16
    try:
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig", errors)
    except UnicodeDecodeError as error:
        if is_utf_16:
            raise DataError(f"{path}: begins as UTF-16 and goes on as something else; save it as UTF-8") from None
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}: line {line} is not UTF-8 (byte {content[error.start]:#x}); save it as UTF-8"
        ) from None
