"""Findings about images that are there twice: pixel by pixel, or nearly and in two splits."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from lightseg.data.types import SPLITS
from lightseg.diagnosis.findings import Finding, counted
from lightseg.diagnosis.samples import Sample

_BITS = 10
"""Bits of 64 in which the hashes of near duplicates differ at most."""

_LEVELS, _CORRELATION, _CONTRAST = 6.0, 0.985, 4.0
"""What thumbnails of near duplicates have: at most this mean difference of grey levels once their brightness is equal,
at least this correlation, and more contrast than an empty picture."""

_ROWS = 512
"""Images that are compared with all of another split at a time."""

_SHOWN = 3

Pair = tuple[Sample, Sample]


def duplicate_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Images that are there twice, in two splits or in one."""
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


def _finding(check: str, pairs: Sequence[Pair], how: str, mend: str) -> list[Finding]:
    if not pairs:
        return []
    names = ", ".join(
        f"{first.name} ({first.split}) and {second.name} ({second.split})" for first, second in pairs[:_SHOWN]
    )
    more = f" and {counted(len(pairs) - _SHOWN, 'more pair')}" if len(pairs) > _SHOWN else ""
    what = f"{counted(len({id(second) for _, second in pairs}), 'image')} {how}: {names}{more}"
    files = dict.fromkeys(sample.name for pair in pairs for sample in pair)
    return [Finding(check, "warning", what, mend, list(files))]


def _same(samples: Sequence[Sample]) -> Iterator[Pair]:
    """Each image with the first one that has the same pixels, and the same size."""
    first: dict[tuple[bytes, tuple[int, int]], Sample] = {}
    for sample in samples:
        twin = first.setdefault((sample.digest, sample.size), sample)
        if twin is not sample:
            yield twin, sample


def _near(samples: Sequence[Sample]) -> Iterator[Pair]:
    """Images of two splits whose hashes and thumbnails are nearly equal: each of the later split with its nearest."""
    parts = {split: [sample for sample in samples if sample.split == split] for split in SPLITS}
    for first, two in combinations(SPLITS, 2):
        bits = np.array([sample.bits for sample in parts[first]], np.uint64)
        for start in range(0, len(parts[two]) if len(bits) else 0, _ROWS):
            rows = parts[two][start : start + _ROWS]
            apart = np.bitwise_count(bits[None] ^ np.array([sample.bits for sample in rows], np.uint64)[:, None])
            for row, sample in enumerate(rows):
                alike = [parts[first][index] for index in np.flatnonzero(apart[row] <= _BITS)]
                alike = [
                    candidate
                    for candidate in alike
                    if candidate.digest != sample.digest and are_alike(candidate, sample)
                ]
                if alike:
                    yield min(alike, key=lambda candidate: thumbnail_distance(candidate, sample)), sample


def are_alike(one: Sample, two: Sample) -> bool:
    """Return whether two images show the same picture, saved, scaled or lit a little differently."""
    first, second = _centred(one), _centred(two)
    contrast = float(first.std()), float(second.std())
    if min(contrast) < _CONTRAST or thumbnail_distance(one, two) > _LEVELS:
        return False
    return float((first * second).mean()) >= _CORRELATION * contrast[0] * contrast[1]


def thumbnail_distance(first: Sample, two: Sample) -> float:
    """Mean difference of grey levels of two thumbnails, once their brightness is equal."""
    return float(np.abs(_centred(first) - _centred(two)).mean())


def _centred(sample: Sample) -> npt.NDArray[np.float32]:
    values = sample.thumbnail.astype(np.float32)
    centred: npt.NDArray[np.float32] = values - values.mean()
    return centred
