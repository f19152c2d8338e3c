"""Images of one split that are copies of images of another, byte by byte."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lightseg.data.dataset import versioned_key
from lightseg.data.datasets.file_dataset import FileDataset, read_blocks, read_ends
from lightseg.data.types import Indices
from lightseg.files.disk_cache import cached
from lightseg.hardware.cpu import usable_cores

_MOST_FILES = 20_000
"""Limit of the files that are read; splits with more images of common sizes are not compared."""


def find_copies(train: FileDataset, dataset: FileDataset) -> list[tuple[str, str]]:
    """Return the images of a split that are copies of training images, each with the training image.

    Only files of equal size are read, and of these only both ends unless they are equal, too. The result is cached.

    Args:
        train: The training split.
        dataset: The other split.

    Returns:
        Names of the image and of the training image; empty if too many images have sizes in common.
    """
    key = f"copies-{versioned_key(train)}-{versioned_key(dataset)}"
    return [(name, original) for name, original in cached(key, lambda: list(_find(train, dataset)))]


def _find(train: FileDataset, dataset: FileDataset) -> Iterator[tuple[str, str]]:
    train_sizes, sizes = train.image_bytes(), dataset.image_bytes()
    common = np.intersect1d(train_sizes, sizes)
    originals, candidates = (np.flatnonzero(np.isin(values, common)) for values in (train_sizes, sizes))
    if len(originals) + len(candidates) > _MOST_FILES:
        return
    first_of = dict(zip(reversed(_digests(train, originals)), reversed(originals.tolist()), strict=True))
    for digest, index in zip(_digests(dataset, candidates), candidates.tolist(), strict=True):
        original = first_of.get(digest)
        if original is not None and _hash_file(train, original) == _hash_file(dataset, index):
            yield dataset.name(index), train.name(original)


def _digests(dataset: FileDataset, indices: Indices) -> list[bytes]:
    """Return a hash of the size and the ends of each image."""

    def digest(index: int) -> bytes:
        path = Path(dataset.root, dataset.name(index))
        return hashlib.sha256(f"{path.stat().st_size}\0".encode() + read_ends(path)).digest()

    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        return list(pool.map(digest, indices.tolist()))


def _hash_file(dataset: FileDataset, index: int) -> bytes:
    digest = hashlib.sha256()
    for block in read_blocks(Path(dataset.root, dataset.name(index))):
        digest.update(block)
    return digest.digest()
