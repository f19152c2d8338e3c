"""Splits into train, val and test: seeded fractions, and groups that stay in one split."""

import hashlib
import os
import posixpath
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias, TypeVar

from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.image_files import file_identity
from lightseg.data.types import SPLITS, Split
from lightseg.errors import ConfigError, DataError
from lightseg.files.names import IMAGE_SUFFIXES

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Accepted names of each split, for folders and in tables."""

SPLIT_OF: dict[str, Split] = {name: split for split, names in SPLIT_NAMES.items() for name in names}
"""Split of each accepted name."""

LIKE_A_SPLIT = re.compile(r"(train|val|dev|test|eval)", re.IGNORECASE)
"""Beginning of a name that suggests a split."""


class Named(Protocol):
    """Sample with its name and the path of its image, relative to the root."""

    @property
    def name(self) -> str:
        """Name of the sample: the path of its image below some folder, with or without extension."""

    @property
    def image(self) -> str:
        """Path of the image."""


_Sample = TypeVar("_Sample", bound=Named)

Splits: TypeAlias = dict[Split, list[_Sample]]
"""Samples of each split."""


class LeakError(DataError):
    """Leak between splits: the same sample, or samples of the same group, in two of them.

    Args:
        message: The message.
        files: Paths of the images, relative to the root.
    """

    def __init__(self, message: str, files: Sequence[str]) -> None:
        super().__init__(message)
        self.files = list(files)


def fraction_split(
    samples: Sequence[_Sample], fractions: Mapping[Split, float], seed: int, groups: Sequence[str]
) -> Splits[_Sample]:
    """Split samples at random, whole groups at a time.

    The order of the groups is that of hashes of their names, so the split depends neither on the order of the files nor
    on the machine, and adding a file moves few others.

    Args:
        samples: All samples.
        fractions: Fractions of `val` and `test`, each 0 to below 1; the rest is `train`.
        seed: Seed of the hash.
        groups: Group of each sample; samples of one group are in one split.

    Returns:
        The samples of each split.

    Raises:
        ConfigError: If a fraction is negative, or they leave nothing for training.
        DataError: If there are fewer groups than splits.
    """
    positive = {split: fraction for split, fraction in fractions.items() if fraction}
    # in this form, NaN is refused too
    if not (all(0 <= fraction < 1 for fraction in fractions.values()) and sum(fractions.values()) < 1):
        keys = ", ".join(f"data.{split}_fraction" for split in fractions)
        values = ", ".join(map(str, fractions.values()))
        raise ConfigError(f"{keys}: must each be 0 or more, with a sum below 1, got {values}")
    sizes = Counter(groups)
    if len(sizes) <= len(positive):
        unit = "sample" if len(sizes) == len(samples) else "group"
        unit += "s" * (len(sizes) != 1)
        raise DataError(f"{len(sizes)} {unit} cannot fill {len(positive) + 1} splits; add data or set a fraction to 0")
    queue = deque(sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest()))
    split_of: dict[str, Split] = {}
    # test is filled first, so that it does not depend on val_fraction
    for filled, split in enumerate(sorted(positive)):
        # one group is reserved for each split that is still empty
        target_size, reserved = round(positive[split] * len(samples)), len(positive) - filled
        size = 0
        while not size or (len(queue) > reserved and size + sizes[queue[0]] / 2 <= target_size):
            size += sizes[queue[0]]
            split_of[queue.popleft()] = split
    result: Splits[_Sample] = {split: [] for split in SPLITS}
    for sample, group in sorted(zip(samples, groups, strict=True), key=lambda entry: entry[0].name):
        result[split_of.get(group, "train")].append(sample)
    return result


def stratified_split(
    samples: Sequence[_Sample], fractions: Mapping[Split, float], seed: int, labels: Sequence[int]
) -> Splits[_Sample]:
    """Split the samples of each class at random; see `fraction_split`.

    A class with too few samples for all splits is in `train` alone.

    Args:
        samples: All samples.
        fractions: Fractions of `val` and `test`, each 0 to below 1; the rest is `train`.
        seed: Seed of the hash.
        labels: Class of each sample.

    Returns:
        The samples of each split.

    Raises:
        ConfigError: If a fraction is negative, or they leave nothing for training.
        DataError: If no class has enough samples.
    """
    by_class: dict[int, list[_Sample]] = {}
    for sample, label in zip(samples, labels, strict=True):
        by_class.setdefault(label, []).append(sample)
    num_splits = 1 + sum(fraction != 0 for fraction in fractions.values())
    if all(len(members) < num_splits for members in by_class.values()):
        return fraction_split(samples, fractions, seed, [sample.name for sample in samples])
    result: Splits[_Sample] = {split: [] for split in SPLITS}
    for members in by_class.values():
        if len(members) < num_splits:
            result["train"] += members
            continue
        for split, part in fraction_split(members, fractions, seed, [member.name for member in members]).items():
            result[split] += part
    return {split: sorted(part, key=lambda sample: sample.name) for split, part in result.items()}


def groups_of(images: Sequence[str], pattern: str) -> list[str]:
    """Return the group of each sample: the first capture group of a regular expression in its image's path.

    Args:
        images: Paths of the images.
        pattern: The regular expression.

    Raises:
        ConfigError: If the expression is invalid or has no capture group.
        DataError: If it does not match a path, or its group takes no part in the match.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"data.group: {pattern!r} is not a regular expression: {error}") from None
    if not expression.groups:
        raise ConfigError(
            f"data.group: {pattern!r} needs parentheses around the name of the group, such as '([^/]+)_[0-9]+'"
        )
    matches = [expression.search(image) for image in images]
    groups: list[str | None] = [match.group(1) if match else None for match in matches]
    unmatched = [image for image, group in zip(images, groups, strict=True) if group is None]
    if unmatched:
        raise DataError(
            f"data.group: {pattern!r} does not match {unmatched[0]} ({len(unmatched)} of {len(images)} images)"
        )
    return [group for group in groups if group is not None]


def require_disjoint(root: Path, splits: Splits[_Sample], groups: Sequence[str], samples: Sequence[_Sample]) -> None:
    """Check that no group has samples in two splits, since training on test data invalidates the scores.

    Args:
        root: Folder of the data, for the message.
        splits: The samples of each split.
        groups: Group of each of `samples`.
        samples: All samples.

    Raises:
        DataError: If a group has samples in two splits.
    """
    group_of = dict(zip(samples, groups, strict=True))
    first_of: dict[str, tuple[Split, _Sample]] = {}
    for split in SPLITS:
        for sample in splits[split]:
            group = group_of[sample]
            first_split, first = first_of.setdefault(group, (split, sample))
            if first_split != split:
                leak = sample.image if first == sample else f"{first.image} and {sample.image} of group {group!r}"
                fix = "keep it in one of them"
                if split == "val":
                    fix += ", or leave out val, which is then a fraction of train"
                message = f"{root}: {leak}: in {first_split} and in {split}; a split must not leak into another: {fix}"
                report(LeakError(message, [first.image, sample.image]))


def without_links(root: Path, splits: Splits[_Sample]) -> Splits[_Sample]:
    """Return splits without the images that are files of earlier ones by another name, such as links.

    Args:
        root: Folder of the data.
        splits: The samples of each split.

    Raises:
        DataError: If there are such images, since one image may have one target, and be in one split.
    """
    first_of: dict[tuple[int, int] | str, str] = {}
    links: dict[str, str] = {}
    for split in SPLITS:
        for sample in splits[split]:
            identity = file_identity(os.path.join(root, sample.image))  # noqa: PTH118 - five times as fast as `Path`
            first = first_of.setdefault(identity or sample.image, sample.image)
            if first != sample.image:
                links[sample.image] = first
    if not links:
        return splits
    link, first = next(iter(links.items()))
    more = f" ({len(links) - 1} more like it)" if len(links) > 1 else ""
    report(LayoutError("linked image", f"{root}: {link} is the file {first}{more}; remove one of the two", [*links]))
    return {split: [sample for sample in splits[split] if sample.image not in links] for split in SPLITS}


def without_extension(path: str) -> str:
    """Return a path without the suffix of an image."""
    pure = PurePosixPath(path)
    return pure.with_suffix("").as_posix() if pure.suffix.lower() in IMAGE_SUFFIXES else path


def relative_to(root: Path, path: str) -> str:
    """Return a path without `.` and `..`, relative to the root if it is below it."""
    pure = PurePosixPath(posixpath.normpath(path.replace("\\", "/")))
    for base in (Path(posixpath.normpath(root.absolute())), root.resolve()) if pure.is_absolute() else ():
        if pure.is_relative_to(base.as_posix()):
            return pure.relative_to(base.as_posix()).as_posix()
    return pure.as_posix()


def require_no_splits(folder: Path | str, subfolders: Iterable[str], advice: str) -> None:
    """Check that the subfolders of data without splits do not look like splits.

    Args:
        folder: The folder, for the message.
        subfolders: Names of its subfolders.
        advice: End of the message.

    Raises:
        DataError: If one looks like `train`, and one like another split.
    """
    splits = {name: match[1].lower() for name in sorted(subfolders) if (match := LIKE_A_SPLIT.match(name))}
    if "train" in splits.values() and len(set(splits.values())) > 1:
        raise DataError(f"{folder}: {', '.join(splits)} look like splits, but would be mixed; {advice}")
