"""Files that are large and take no disk."""

from pathlib import Path


def write_sparse(path: Path, size: int = 10**13) -> None:
    """Write a file of zeros, of terabytes by default, of which the disk holds nothing."""
    with path.open("wb") as file:
        file.truncate(size)
