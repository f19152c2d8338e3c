"""Fingerprints of a split: hashes of its content, of its class counts, and of the pixels of masks and images.

They are joined by pluses. Older versions recorded no pixels, and still older ones no class counts.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_FORM = re.compile(r"(.*?)(?:\+([0-9a-f]{16})(?:\+([0-9a-f]{16}))?)?", re.DOTALL)


class Fingerprint(NamedTuple):
    """Hashes of a split; an unknown one is empty.

    Attributes:
        content: `ImageDataset.fingerprint`.
        labels: Hash of the class counts of each sample.
        pixels: Hash of the pixels of all masks and of sampled images.
    """

    content: str
    labels: str
    pixels: str

    def __str__(self) -> str:
        return "+".join(part for part in self if part)


def add_labels(content: str, label_table: npt.NDArray[np.int64], image_digest: bytes = b"") -> str:
    """Return the fingerprint of content, labels and pixels.

    Args:
        content: `ImageDataset.fingerprint`, which may miss a changed label.
        label_table: `ImageDataset.label_table`, int64 `(N, C + 1)`.
        image_digest: `ImageDataset.image_digest`.
    """
    class_counts, target_hashes = (np.ascontiguousarray(part, "<i8") for part in np.split(label_table, [-1], axis=1))
    has_pixels = bool(image_digest) or bool(target_hashes.any())
    pixels = _hash(target_hashes.tobytes() + image_digest) if has_pixels else ""
    return str(Fingerprint(content, _hash(class_counts.data), pixels))


def parse(fingerprint: str | None) -> Fingerprint:
    """Return the hashes of a fingerprint."""
    match = _FORM.fullmatch(fingerprint or "")
    assert match is not None  # every text matches
    return Fingerprint(*(part or "" for part in match.groups()))


def differ(first: str | None, second: str | None) -> bool:
    """Return whether two fingerprints are of different data; unknown labels or pixels are not different."""
    (content_1, *known_1), (content_2, *known_2) = parse(first), parse(second)
    return content_1 != content_2 or any(a and b and a != b for a, b in zip(known_1, known_2, strict=True))


def combine(fingerprints: Sequence[str]) -> str:
    """Return the fingerprint of several splits together, in any order; hashes that one of them lacks are unknown."""
    parts = zip(*map(parse, sorted(fingerprints)), strict=True)
    return str(Fingerprint(*(_hash("\0".join(part).encode()) if all(part) else "" for part in parts)))


def abbreviate(fingerprint: str | None) -> str:
    """Return the start of each hash, for messages."""
    content, *others = parse(fingerprint)
    return "+".join([content[:12], *(part[:8] for part in others if part)])


def _hash(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
