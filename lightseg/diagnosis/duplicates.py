"""Findings about duplicate images: equal in every pixel, or nearly equal and in two splits."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from lightseg.data.types import SPLITS
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.samples import Sample
from lightseg.files.printable import format_count, join_names

_BITS = 10
"""Largest number of the 64 hash bits in which near duplicates differ."""

_LEVELS, _CORRELATION, _CONTRAST = 6.0, 0.985, 4.0
"""Limits for thumbnails of near duplicates: largest mean difference of gray levels at equal brightness, least
correlation, and least contrast, below which a picture is empty."""

_ROWS = 512
"""Number of images that are compared with another split at a time."""

SamplePair = tuple[Sample, Sample]


def duplicate_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Warn of duplicate images, in two splits or in one."""
    readable = [sample for sample in samples if sample.readable]
    same = list(_same(readable))
    across = [pair for pair in same if pair[0].split != pair[1].split]
    within = [pair for pair in same if pair[0].split == pair[1].split]
    near = list(_near(readable))
    mend = "leave them in one split only: a net that has trained on an image is not tested by it"
    return [
        *_finding("duplicates across splits", across, "in two splits, equal in every pixel", mend),
        *_finding("duplicates", within, "twice in one split, equal in every pixel", "remove one of each pair"),
        *_finding("near duplicates across splits", near, "in two splits, nearly equal", mend),
    ]


def _finding(check: str, pairs: Sequence[SamplePair], how: str, mend: str) -> list[Finding]:
    if not pairs:
        return []
    names = [f"{first.name} ({first.split}) and {second.name} ({second.split})" for first, second in pairs]
    what = f"{format_count(len({id(second) for _, second in pairs}), 'image')} {how}: {join_names(names, 3)}"
    files = dict.fromkeys(sample.name for pair in pairs for sample in pair)
    return [Finding(check, "warning", what, mend, list(files))]


def _same(samples: Sequence[Sample]) -> Iterator[SamplePair]:
    """Yield each duplicate with the first image of the same pixels and size."""
    first: dict[tuple[bytes, tuple[int, int]], Sample] = {}
    for sample in samples:
        original = first.setdefault((sample.digest, sample.size), sample)
        if original is not sample:
            yield original, sample


def _near(samples: Sequence[Sample]) -> Iterator[SamplePair]:
    """Yield near duplicates in two splits: each image of the later split with its nearest."""
    parts = {split: [sample for sample in samples if sample.split == split] for split in SPLITS}
    for earlier, later in combinations(SPLITS, 2):
        bits = np.array([sample.bits for sample in parts[earlier]], np.uint64)
        for start in range(0, len(parts[later]) if len(bits) else 0, _ROWS):
            rows = parts[later][start : start + _ROWS]
            distances = np.bitwise_count(bits[None] ^ np.array([sample.bits for sample in rows], np.uint64)[:, None])
            for row, sample in enumerate(rows):
                candidates = [parts[earlier][index] for index in np.flatnonzero(distances[row] <= _BITS)]
                matches = [c for c in candidates if c.digest != sample.digest and are_alike(c, sample)]
                if matches:
                    yield min(matches, key=lambda match: thumbnail_distance(match, sample)), sample


def are_alike(first: Sample, second: Sample) -> bool:
    """Return whether two images are the same picture up to compression, scale and brightness."""
    thumbnails = _centered(first), _centered(second)
    contrast = float(thumbnails[0].std()), float(thumbnails[1].std())
    if min(contrast) < _CONTRAST or thumbnail_distance(first, second) > _LEVELS:
        return False
    return float((thumbnails[0] * thumbnails[1]).mean()) >= _CORRELATION * contrast[0] * contrast[1]


def thumbnail_distance(first: Sample, second: Sample) -> float:
    """Return the mean absolute difference of the gray levels of two thumbnails at equal brightness."""
    return float(np.abs(_centered(first) - _centered(second)).mean())


def _centered(sample: Sample) -> npt.NDArray[np.float32]:
    """Return the thumbnail with mean 0."""
    values = sample.thumbnail.astype(np.float32)
    centered: npt.NDArray[np.float32] = values - values.mean()
    return centered
