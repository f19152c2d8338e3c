"""Splits into train, val and test: seeded fractions, list files, and groups that stay in one split."""

import hashlib
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from lightseg.data.io.error_collector import report
from lightseg.data.io.pairing import MissingMask, Pair, UnpairedError
from lightseg.data.types import SPLITS, Split
from lightseg.errors import ConfigError, DataError, did_you_mean
from lightseg.files.names import IMAGE_SUFFIXES

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Pairs = dict[Split, list[Pair]]


class LeakError(DataError):
    """Leak between splits: the same sample, or samples of the same group, in two of them.

    Args:
        message: The message.
        files: Paths of the images, relative to the root.
    """

    def __init__(self, message: str, files: Sequence[str]) -> None:
        super().__init__(message)
        self.files = list(files)


def fraction_split(pairs: Sequence[Pair], fractions: Mapping[Split, float], seed: int, groups: Sequence[str]) -> Pairs:
    """Split samples at random, whole groups at a time.

    The order of the groups is that of hashes of their names, so the split depends neither on the order of the files nor
    on the machine, and adding a file moves few others.

    Args:
        pairs: All samples.
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
    if any(fraction < 0 for fraction in positive.values()) or sum(positive.values()) >= 1:
        raise ConfigError(
            f"data.val_fraction, data.test_fraction: {list(fractions.values())} must be positive and sum below 1"
        )
    sizes = Counter(groups)
    if len(sizes) <= len(positive):
        unit = "sample" if len(sizes) == len(pairs) else "group"
        unit += "s" * (len(sizes) != 1)
        raise DataError(f"{len(sizes)} {unit} cannot fill {len(positive) + 1} splits; add data or set a fraction to 0")
    queue = deque(sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest()))
    split_of: dict[str, Split] = {}
    # test is filled first, so that it does not depend on val_fraction
    for filled, split in enumerate(sorted(positive)):
        # one group is reserved for each split that is still empty
        target_size, reserved = round(positive[split] * len(pairs)), len(positive) - filled
        size = 0
        while not size or (len(queue) > reserved and size + sizes[queue[0]] / 2 <= target_size):
            size += sizes[queue[0]]
            split_of[queue.popleft()] = split
    result: Pairs = {split: [] for split in SPLITS}
    for pair, group in sorted(zip(pairs, groups, strict=True)):
        result[split_of.get(group, "train")].append(pair)
    return result


def read_lists(root: Path, lists: Mapping[Split, str]) -> dict[Split, list[str]]:
    """Read list files: one entry per line; lines that start with `#` are comments.

    Args:
        root: Folder that the list files' paths are relative to.
        lists: Split → its list file; `test` is optional.

    Returns:
        Split → the entries of its list.

    Raises:
        ConfigError: If `train` or `val` has no list.
        DataError: If a list is missing or empty.
    """
    absent = [split for split in ("train", "val") if split not in lists]
    if absent:
        raise ConfigError(
            f"splits: no list for {' and '.join(absent)}; write splits: {{train: train.txt, val: val.txt}}"
        )
    entries: dict[Split, list[str]] = {}
    for split, name in lists.items():
        path = root / name
        if not path.is_file():
            raise DataError(f"{path}: the list of the {split} split does not exist")
        data = path.read_bytes()
        # invalid UTF-8 is harmless in a comment, and in an entry leads to the message that it is not an image
        try:
            text = data.decode("utf-16" if data[:2] in _UTF_16 else "utf-8-sig", "surrogateescape")
        except UnicodeDecodeError:
            raise DataError(f"{path}: begins as UTF-16 and goes on as something else; save it as UTF-8") from None
        lines = [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines()]
        entries[split] = [line for line in lines if line and not line.startswith("#")]
        if not entries[split]:
            raise DataError(f"{path}: the list of the {split} split names no image")
    return entries


def listed_pairs(root: Path, entries: Mapping[Split, Sequence[str]]) -> Pairs | None:
    """Return the samples of lists whose lines are the paths of an image and its mask.

    Args:
        root: Folder that relative paths start from.
        entries: Split → the lines of its list.

    Returns:
        The samples of each split; None if a line does not name two files.

    Raises:
        DataError: If a sample is in two lists.
    """
    result: Pairs = {split: [] for split in SPLITS}
    for split, lines in entries.items():
        for line in dict.fromkeys(lines):
            paths = _parse_paths(root, line)
            if paths is None:
                return None
            result[split].append(Pair(_without_extension(paths[0]), *paths))
    pairs = [pair for split in SPLITS for pair in result[split]]
    require_disjoint(root, result, [pair.image for pair in pairs], pairs)
    return result


def list_split(
    root: Path,
    pairs: Sequence[Pair],
    lists: Mapping[Split, str],
    entries: Mapping[Split, Sequence[str]],
    missing_mask: MissingMask = "error",
) -> Pairs:
    """Return the samples that list files name: by stem, or by path with or without folder and extension.

    Args:
        root: Folder that the list files' paths are relative to.
        pairs: All samples.
        lists: Split → its list file.
        entries: Split → the lines of its list.
        missing_mask: Treatment of an image without a mask, whose pair has an empty mask path; see `find_pairs`.

    Returns:
        The samples of each split.

    Raises:
        DataError: If a list names an unknown sample, or shares one with another list.
    """
    pair_of = _index_names(pairs)
    result: Pairs = {split: [] for split in SPLITS}
    for split, lines in entries.items():
        matches = (_find_pair(root, root / lists[split], line, pair_of) for line in lines)
        selected = list(dict.fromkeys(pair for pair in matches if pair))
        unpaired = [pair.image for pair in selected if not pair.mask]
        if unpaired and missing_mask == "error":
            more = f" ({len(unpaired) - 1} more like it)" if len(unpaired) > 1 else ""
            message = (
                f"{root / lists[split]}: {unpaired[0]} has no mask{more}; "
                "add it, or set missing_mask: skip or background"
            )
            report(UnpairedError("image without mask", message, unpaired))
        result[split] = [pair for pair in selected if pair.mask or missing_mask == "background"]
    require_disjoint(root, result, [pair.name for pair in pairs], pairs)
    return result


def groups_of(images: Sequence[str], pattern: str) -> list[str]:
    """Return the group of each sample: the first capture group of a regular expression in its image's path.

    Args:
        images: Paths of the images.
        pattern: The regular expression.

    Raises:
        ConfigError: If the expression is invalid or has no capture group.
        DataError: If it does not match a path.
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
    unmatched = [image for image, match in zip(images, matches, strict=True) if match is None]
    if unmatched:
        raise DataError(
            f"data.group: {pattern!r} does not match {unmatched[0]} ({len(unmatched)} of {len(images)} images)"
        )
    return [str(match.group(1)) for match in matches if match]


def require_disjoint(root: Path, splits: Pairs, groups: Sequence[str], pairs: Sequence[Pair]) -> None:
    """Check that no group has samples in two splits, since training on test data invalidates the scores.

    Args:
        root: Folder of the data, for the message.
        splits: The samples of each split.
        groups: Group of each of `pairs`.
        pairs: All samples.

    Raises:
        DataError: If a group has samples in two splits.
    """
    group_of = dict(zip(pairs, groups, strict=True))
    first_of: dict[str, tuple[Split, Pair]] = {}
    for split in SPLITS:
        for pair in splits[split]:
            group = group_of[pair]
            first_split, first = first_of.setdefault(group, (split, pair))
            if first_split != split:
                leak = pair.image if first == pair else f"{first.image} and {pair.image} of group {group!r}"
                message = (
                    f"{root}: {leak}: in {first_split} and in {split}; a split must not leak into another: "
                    "move them into one"
                )
                report(LeakError(message, [first.image, pair.image]))


def _index_names(pairs: Sequence[Pair]) -> dict[str, Pair | None]:
    """Return the samples by every name they may have in a list; None where a bare file name is ambiguous."""
    names: dict[str, Pair | None] = {}
    for pair in pairs:
        base = PurePosixPath(pair.name).name
        names[base] = None if base in names else pair
    for pair in pairs:
        for name in (_without_extension(pair.image), _without_extension(PurePosixPath(pair.image).name)):
            names[name] = pair if names.get(name, pair) == pair else None
    for pair in pairs:
        names[pair.name] = pair
    return names


def _without_extension(path: str) -> str:
    pure = PurePosixPath(path)
    return pure.with_suffix("").as_posix() if pure.suffix.lower() in IMAGE_SUFFIXES else path


def _parse_paths(root: Path, line: str) -> tuple[str, str] | None:
    """Return the paths of the image and the mask in a line, relative to the root if below it, or None."""
    for parts in (line.split("\t"), line.split(","), line.split()):
        if len(parts) == 2 and all((root / part.strip()).is_file() for part in parts):
            image, mask = (_relative_to(root, part.strip()) for part in parts)
            return image, mask
    return None


def _relative_to(root: Path, path: str) -> str:
    """Return a path relative to the root if it is below it."""
    pure, base = PurePosixPath(path.replace("\\", "/").removeprefix("./")), PurePosixPath(root.absolute().as_posix())
    return pure.relative_to(base).as_posix() if pure.is_relative_to(base) else pure.as_posix()


def _find_pair(root: Path, path: Path, entry: str, pair_of: Mapping[str, Pair | None]) -> Pair | None:
    """Return the sample of a list's entry; None after reporting that there is none, or several."""
    name = _without_extension(_relative_to(root, entry))
    if pair := pair_of.get(name):
        return pair
    if name in pair_of:
        report(DataError(f"{path}: {entry!r} names several images; write the path below the image folder"))
    else:
        hint = did_you_mean(name, list(pair_of)[:10_000])
        report(DataError(f"{path}: {entry!r} is not an image here{hint}"))
    return None
