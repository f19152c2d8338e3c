"""Findings about sequences and groups that are in two splits: frames of one video, slices of one patient."""

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.types import SPLITS, Split
from lightseg.diagnosis.duplicates import thumbnail_distance
from lightseg.diagnosis.findings import Finding, Severity, counted
from lightseg.diagnosis.samples import Sample

PATTERNS = (r"([^/]+)/[^/]+$", r"([^/]+)[_-][A-Za-z]*[0-9]+[^/0-9]*$")
"""How names tell a group: its folder, or what stands before the last number."""

_ALIKE = 0.6
"""Distance of neighbours, as a share of that of any two images, up to which they are frames of one video."""

_MEMBERS = 3
"""Mean number of samples from which on names that begin alike are more than chance."""

_PAIRS = 2000
_SHOWN = 4


def sequence_findings(data: ImageDataModule, samples: Sequence[Sample]) -> list[Finding]:
    """Groups that are in two splits: those that the data module knows, else those that names and looks tell."""
    names = [sample.name for sample in samples]
    groups, pattern = list(data.groups(names)), None
    severity: Severity = "warning"
    if groups == names:
        pattern = _pattern(data, samples)
        if pattern is None:
            return []
        groups = _by(pattern, names)
        severity = "warning" if _looks_like_video(samples, groups) else "note"
    findings = []
    for first, two in combinations(SPLITS, 2):
        if pattern is None and data.deals_folds and two == "val":
            continue
        counts = {
            split: Counter(g for s, g in zip(samples, groups, strict=True) if s.split == split)
            for split in (first, two)
        }
        shared = sorted(counts[first].keys() & counts[two].keys())
        if shared:
            what = _what(first, two, counts, shared, sure=severity == "warning")
            later = {two} if len(counts[first]) > 1 else {first, two}
            files = [s.name for s, g in zip(samples, groups, strict=True) if g in shared and s.split in later]
            findings.append(Finding("straddling sequences", severity, what, _mend(data, pattern, two), files))
    # where only names tell it, saying it once will do
    return findings if severity == "warning" else findings[:1]


def _pattern(data: ImageDataModule, samples: Sequence[Sample]) -> str | None:
    """Return the first pattern that makes groups of the names, of which some are in two splits."""
    names = [sample.name for sample in samples]
    for pattern in PATTERNS:
        if not names or not all(re.search(pattern, name) for name in names):
            continue
        groups = _by(pattern, names)
        homes = {(group, sample.split) for group, sample in zip(groups, samples, strict=True)}
        number = len(set(groups))
        # a folder for each class is no group, and neither is one for all
        is_telling = 1 < number <= len(names) / _MEMBERS and {group.lower() for group in groups} - {
            c.lower() for c in data.classes
        }
        if is_telling and len(homes) > number and (data.kind == "segmentation" or _looks_like_video(samples, groups)):
            return pattern
    return None


def _by(pattern: str, names: Sequence[str]) -> list[str]:
    return [match.group(1) for name in names if (match := re.search(pattern, name))]


def _looks_like_video(samples: Sequence[Sample], groups: Sequence[str]) -> bool:
    """Return whether neighbours of a group look much more alike than any two images do."""
    order = sorted(
        (group, _number(sample.name), index) for index, (sample, group) in enumerate(zip(samples, groups, strict=True))
    )
    readable = [(group, samples[index]) for group, _, index in order if samples[index].readable]
    neighbours = [(first, two) for (group, first), (other, two) in pairwise(readable) if group == other][:_PAIRS]
    shuffled = np.random.default_rng(0).permutation(len(readable))[:_PAIRS]
    any_two = [(readable[first][1], readable[two][1]) for first, two in pairwise(shuffled)]
    if not neighbours or not any_two:
        return False
    near, far = (float(np.median([thumbnail_distance(*pair) for pair in pairs])) for pairs in (neighbours, any_two))
    return near < _ALIKE * far


def _number(name: str) -> int:
    """Return the last number of a name, by which frames are in order."""
    numbers = re.findall(r"[0-9]+", name.rpartition(".")[0] or name)
    return int(numbers[-1]) if numbers else 0


def _what(first: Split, two: Split, counts: Mapping[Split, Counter[str]], shared: Sequence[str], sure: bool) -> str:
    """Say which groups are in both splits."""
    kind = "sequence" if sure else "group"
    start = "" if sure else "if the beginnings of the names tell sequences or patients, "
    for split, other_split in ((two, first), (first, two)):
        if len(counts[split]) == 1:
            group = shared[0]
            count = counts[other_split][group]
            return (
                f"{start}{split} is one {kind}, {group} ({counted(counts[split][group], 'image')}), which also occurs "
                f"in {other_split} ({counted(count, 'image')})"
            )
    listed = ", ".join(f"{group} ({counts[first][group]} and {counts[two][group]} images)" for group in shared[:_SHOWN])
    more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
    return f"{start}{counted(len(shared), kind)} in {first} and in {two}: {listed}{more}"


def _mend(data: ImageDataModule, pattern: str | None, split: Split) -> str:
    if pattern and "group" in inspect.signature(type(data).__init__).parameters:
        return (
            f"add to data.init_args:\n  group: '{pattern}'\nwhich keeps them together in splits that are drawn; where "
            "folders or lists make the splits, move each of them into one"
        )
    if split == "test":
        return "the score on test overstates: say so where it is reported, or test on other sequences"
    return (
        "the score on val overstates: trust that on test alone, or take `fit --folds K`, which pools train and val and "
        "never splits a sequence"
    )
