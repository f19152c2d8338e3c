"""Who is in train, val and test: seeded fractions, list files, and groups that never straddle two splits."""

import hashlib
import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from lightseg.data.base import SPLITS, Split
from lightseg.data.folders import Pair
from lightseg.data.problems import report
from lightseg.errors import ConfigError, DataError, did_you_mean
from lightseg.file_names import IMAGE_SUFFIXES

Pairs = dict[Split, list[Pair]]


class LeakError(DataError):
    """A sample, or samples of one group, in two splits.

    Args:
        message: The message.
        files: The images, as paths relative to the root.
    """

    def __init__(self, message: str, files: Sequence[str]) -> None:
        super().__init__(message)
        self.files = list(files)


def fraction_split(pairs: Sequence[Pair], fractions: Mapping[Split, float], seed: int, groups: Sequence[str]) -> Pairs:
    """Deal samples out at random, whole groups at a time.

    The draw hashes the groups' names, so it depends neither on the order of the files nor on the machine, and a file
    that is added later moves few others.

    Args:
        pairs: All samples.
        fractions: Share of `val` and `test`; the rest is `train`.
        seed: Another seed gives another split.
        groups: Group of each sample; samples of one group stay together.

    Raises:
        ConfigError: If the fractions leave nothing for training.
        DataError: If there are too few groups to give every split its share.
    """
    wanted = {split: share for split, share in fractions.items() if share}
    if any(share < 0 for share in wanted.values()) or sum(wanted.values()) >= 1:
        raise ConfigError(
            f"data.val_fraction, data.test_fraction: {list(fractions.values())} must be positive and sum below 1"
        )
    ordered = sorted(zip(pairs, groups, strict=True))
    sizes = Counter(groups)
    if len(sizes) <= len(wanted):
        what = "sample" if len(sizes) == len(pairs) else "group"
        what += "s" * (len(sizes) != 1)
        raise DataError(f"{len(sizes)} {what} cannot fill {len(wanted) + 1} splits; add data or set a fraction to 0")
    drawn = deque(sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest()))
    home: dict[str, Split] = {}
    # test is drawn first, so that another val_fraction leaves it as it is
    for filled, split in enumerate(sorted(wanted)):
        goal, kept = round(wanted[split] * len(pairs)), len(wanted) - filled  # a group for each split still empty
        size = 0
        while not size or (len(drawn) > kept and size + sizes[drawn[0]] / 2 <= goal):
            size += sizes[drawn[0]]
            home[drawn.popleft()] = split
    result: Pairs = {split: [] for split in SPLITS}
    for pair, group in ordered:
        result[home.get(group, "train")].append(pair)
    return result


def list_split(root: Path, pairs: Sequence[Pair], lists: Mapping[Split, str]) -> Pairs:
    """The samples that list files name, one per line: a stem, or a path with or without folder and extension.

    Args:
        root: Folder that the list files' paths start from.
        pairs: All samples.
        lists: Split → its list file; `test` may be left out.

    Raises:
        ConfigError: If `train` or `val` has no list.
        DataError: If a list is missing, names an unknown sample, or shares one with another list.
    """
    absent = [split for split in ("train", "val") if split not in lists]
    if absent:
        raise ConfigError(
            f"splits: no list for {' and '.join(absent)}; write splits: {{train: train.txt, val: val.txt}}"
        )
    known = _names(pairs)
    result: Pairs = {split: [] for split in SPLITS}
    for split, name in lists.items():
        path = root / name
        if not path.is_file():
            raise DataError(f"{path}: the list of the {split} split does not exist")
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        entries = [line for line in lines if line and not line.startswith("#")]
        if not entries:
            raise DataError(f"{path}: the list of the {split} split names no image")
        result[split] = list(dict.fromkeys(pair for entry in entries if (pair := _known(path, entry, known))))
    require_disjoint(root, result, [pair.name for pair in pairs], pairs)
    return result


def groups_of(images: Sequence[str], pattern: str) -> list[str]:
    """Group of each sample: what the first group of a regular expression finds in its image's path.

    Raises:
        ConfigError: If the expression is invalid or has no group in parentheses.
        DataError: If it does not match a path.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"data.group: {pattern!r} is not a regular expression: {error}") from None
    if not expression.groups:
        raise ConfigError(
            f"data.group: {pattern!r} needs parentheses around the name of the group, such as '(.*)_\\d+'"
        )
    found = [expression.search(image) for image in images]
    unmatched = [image for image, match in zip(images, found, strict=True) if match is None]
    if unmatched:
        raise DataError(
            f"data.group: {pattern!r} does not match {unmatched[0]} ({len(unmatched)} of {len(images)} images)"
        )
    return [str(match.group(1)) for match in found if match]


def require_disjoint(root: Path, splits: Pairs, groups: Sequence[str], pairs: Sequence[Pair]) -> None:
    """Check that no group has samples in two splits.

    Raises:
        DataError: If one has; training on test data makes every number worthless.
    """
    group_of = dict(zip(pairs, groups, strict=True))
    home: dict[str, tuple[Split, Pair]] = {}
    for split in SPLITS:
        for pair in splits[split]:
            group = group_of[pair]
            first_split, first = home.setdefault(group, (split, pair))
            if first_split != split:
                both = pair.image if first == pair else f"{first.image} and {pair.image} of group {group!r}"
                message = (
                    f"{root}: {both}: in {first_split} and in {split}; a split must not leak into another: "
                    "move them into one"
                )
                report(LeakError(message, [first.image, pair.image]))


def _names(pairs: Sequence[Pair]) -> dict[str, Pair | None]:
    """Every way to name a sample; None where a bare file name is ambiguous."""
    names: dict[str, Pair | None] = {}
    for pair in pairs:
        base = PurePosixPath(pair.name).name
        names[base] = None if base in names else pair
    for pair in pairs:
        for name in (pair.name, _without_extension(pair.image), _without_extension(PurePosixPath(pair.image).name)):
            if names.get(name, pair) == pair or name == pair.name:
                names[name] = pair
    return names


def _without_extension(path: str) -> str:
    pure = PurePosixPath(path)
    return pure.with_suffix("").as_posix() if pure.suffix.lower() in IMAGE_SUFFIXES else path


def _known(path: Path, entry: str, known: Mapping[str, Pair | None]) -> Pair | None:
    name = _without_extension(entry.replace("\\", "/").removeprefix("./"))
    if pair := known.get(name):
        return pair
    if name in known:
        report(DataError(f"{path}: {entry!r} names several images; give the path below the image folder"))
    else:
        report(DataError(f"{path}: {entry!r} is not an image here{did_you_mean(name, list(known)[:10_000])}"))
    return None
