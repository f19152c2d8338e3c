"""Findings about sequences and groups that are in two splits: frames of one video, slices of one patient."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np

from lightseg.data.data_module import ImageDataModule
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.data.types import SPLITS, Split
from lightseg.diagnosis.duplicates import thumbnail_distance
from lightseg.diagnosis.findings import Finding, Severity
from lightseg.diagnosis.samples import Sample
from lightseg.files.printable import format_count, join_names

PATTERNS = (r"([^/]+)/[^/]+$", r"([^/]+)[_-][A-Za-z]*[0-9]+[^/0-9]*$")
"""Patterns of the group in a file's name: its folder, or the text before the last number."""

_ALIKE = 0.6
"""Largest ratio of the distance of neighbors to that of random images for frames of a video."""

_MEMBERS = 3
"""Least mean number of samples of a group for names that begin alike not to be chance."""

_PAIRS = 2000


def sequence_findings(data: ImageDataModule, samples: Sequence[Sample]) -> list[Finding]:
    """Report groups that are in two splits: those of the data module, else those that file names suggest."""
    names = [sample.name for sample in samples]
    groups, pattern = list(data.groups(names)), None
    severity: Severity = "warning"
    if groups == names:
        pattern = suggest_pattern(data, samples)
        if pattern is None:
            return []
        groups = group_by(pattern, names)
        severity = "warning" if looks_like_video(samples, groups) else "note"
    findings = []
    for earlier, later in combinations(SPLITS, 2):
        if pattern is None and data.deals_folds and later == "val":
            continue
        counts = {
            split: Counter(group for sample, group in zip(samples, groups, strict=True) if sample.split == split)
            for split in (earlier, later)
        }
        shared = sorted(counts[earlier].keys() & counts[later].keys())
        if shared:
            what = _describe(earlier, later, counts, shared, is_certain=severity == "warning")
            splits = {later} if len(counts[earlier]) > 1 else {earlier, later}
            files = [
                sample.name
                for sample, group in zip(samples, groups, strict=True)
                if group in shared and sample.split in splits
            ]
            findings.append(Finding("straddling sequences", severity, what, _mend(data, pattern, later), files))
    # a guess from names alone is reported once
    return findings if severity == "warning" else findings[:1]


def suggest_pattern(data: ImageDataModule, samples: Sequence[Sample]) -> str | None:
    """Return the first pattern that groups the names such that a group is in two splits; None without one."""
    names = [sample.name for sample in samples]
    for pattern in PATTERNS:
        if not names or not all(re.search(pattern, name) for name in names):
            continue
        groups = group_by(pattern, names)
        pairs = {(group, sample.split) for group, sample in zip(groups, samples, strict=True)}
        number = len(set(groups))
        # a folder per class is no group, and neither is a single folder
        class_names = {name.lower() for name in data.classes}
        is_grouping = 1 < number <= len(names) / _MEMBERS and {group.lower() for group in groups} - class_names
        if is_grouping and len(pairs) > number and (data.kind == "segmentation" or looks_like_video(samples, groups)):
            return pattern
    return None


def group_by(pattern: str, names: Sequence[str]) -> list[str]:
    """Return the group of each name."""
    return [match.group(1) for name in names if (match := re.search(pattern, name))]


def looks_like_video(samples: Sequence[Sample], groups: Sequence[str]) -> bool:
    """Return whether neighbors in a group are much more alike than random images."""
    order = sorted(
        (group, _number(sample.name), index) for index, (sample, group) in enumerate(zip(samples, groups, strict=True))
    )
    readable = [(group, samples[index]) for group, _, index in order if samples[index].readable]
    neighbors = [(a, b) for (group, a), (next_group, b) in pairwise(readable) if group == next_group][:_PAIRS]
    shuffled = np.random.default_rng(0).permutation(len(readable))[:_PAIRS]
    random_pairs = [(readable[a][1], readable[b][1]) for a, b in pairwise(shuffled)]
    if not neighbors or not random_pairs:
        return False
    near, far = (float(np.median([thumbnail_distance(*pair) for pair in pairs])) for pairs in (neighbors, random_pairs))
    return near < _ALIKE * far


def _number(name: str) -> int:
    """Return the last number of a name, by which frames are ordered."""
    numbers = re.findall(r"[0-9]+", name.rpartition(".")[0] or name)
    return int(numbers[-1]) if numbers else 0


def _describe(
    earlier: Split, later: Split, counts: Mapping[Split, Counter[str]], shared: Sequence[str], is_certain: bool
) -> str:
    """Describe the groups that are in two splits."""
    kind = "sequence" if is_certain else "group"
    start = "" if is_certain else "if the beginnings of the names tell sequences or patients, "
    for split, counterpart in ((later, earlier), (earlier, later)):
        if len(counts[split]) == 1:
            group = shared[0]
            number = counts[counterpart][group]
            return (
                f"{start}{split} is one {kind}, {group} ({format_count(counts[split][group], 'image')}), which also "
                f"occurs in {counterpart} ({format_count(number, 'image')})"
            )
    groups = [f"{group} ({counts[earlier][group]} and {counts[later][group]} images)" for group in shared]
    return f"{start}{format_count(len(shared), kind)} in {earlier} and in {later}: {join_names(groups, 4)}"


def _mend(data: ImageDataModule, pattern: str | None, split: Split) -> str:
    """Return the fix for groups that are in train and in another split."""
    if pattern and isinstance(data, FileDataModule):
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
