"""Helpers of published datasets: download with a clear error, and splits from lists of stems."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lightseg.data.io.pairing import Pair, Pairs
from lightseg.data.splits import fraction_split
from lightseg.data.types import Split
from lightseg.errors import DataError


def fetch(folder: Path, paths: Sequence[str], download: Callable[[], object], hint: str) -> None:
    """Download a dataset unless it is complete.

    Args:
        folder: Folder into which the download is unpacked.
        paths: Files and folders of the complete dataset, relative to its folder.
        download: Fetches, checks and unpacks the archives.
        hint: Instructions for a manual download, the end of the message.

    Raises:
        DataError: If the network or the archive fails.
    """
    if all((folder / path).exists() for path in paths):
        return
    try:
        download()
    except (OSError, RuntimeError) as error:
        raise DataError(f"{folder}: the download failed ({error})\n{hint}") from error


def read_stems(path: Path) -> Iterator[str]:
    """Yield the first word of every line of a list file, comments excluded."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split()[0]


def split_off_val(train: list[Pair], test: list[Pair], val_fraction: float, seed: int) -> Pairs:
    """Return three splits of two published lists: a seeded part of the first one is `val`.

    Args:
        train: Official training list.
        test: Official test list.
        val_fraction: Share of `train` that becomes `val`, in 0..1.
        seed: Seed of the choice.
    """
    fractions: dict[Split, float] = {"val": val_fraction}
    splits = fraction_split(train, fractions, seed, [pair.name for pair in train])
    return {**splits, "test": test}
