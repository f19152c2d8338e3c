"""Who is in train, val and test: seeded fractions, list files, and groups that never straddle two splits."""

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
    """Error for a sample, or samples of one group, in two splits.

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
    shares = {split: share for split, share in fractions.items() if share}
    if any(share < 0 for share in shares.values()) or sum(shares.values()) >= 1:
        raise ConfigError(
            f"data.val_fraction, data.test_fraction: {list(fractions.values())} must be positive and sum below 1"
        )
    ordered = sorted(zip(pairs, groups, strict=True))
    sizes = Counter(groups)
    if len(sizes) <= len(shares):
        what = "sample" if len(sizes) == len(pairs) else "group"
        what += "s" * (len(sizes) != 1)
        raise DataError(f"{len(sizes)} {what} cannot fill {len(shares) + 1} splits; add data or set a fraction to 0")
    drawn = deque(sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest()))
    home: dict[str, Split] = {}
    # test is drawn first, so that another val_fraction leaves it as it is
    for filled, split in enumerate(sorted(shares)):
        goal, reserve = round(shares[split] * len(pairs)), len(shares) - filled  # a group for each split still empty
        size = 0
        while not size or (len(drawn) > reserve and size + sizes[drawn[0]] / 2 <= goal):
            size += sizes[drawn[0]]
            home[drawn.popleft()] = split
    result: Pairs = {split: [] for split in SPLITS}
    for pair, group in ordered:
        result[home.get(group, "train")].append(pair)
    return result


def read_lists(root: Path, lists: Mapping[Split, str]) -> dict[Split, list[str]]:
    """Return the entries of list files, one per line, without comments.

    Args:
        root: Folder that the list files' paths start from.
        lists: Split → its list file; `test` may be left out.

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
        # bytes that are not UTF-8 may lie in comments; in a name, they are found to be no image
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
    """Return the samples of lists whose lines are the paths of an image and its mask; None if these are none.

    Args:
        root: Folder that relative paths start from.
        entries: Split → the lines of its list.

    Raises:
        DataError: If a sample is in two lists.
    """
    result: Pairs = {split: [] for split in SPLITS}
    for split, lines in entries.items():
        for line in dict.fromkeys(lines):
            paths = _two_files(root, line)
            if paths is None:
                return None
            result[split].append(Pair(_without_extension(paths[0]), *paths))
    every = [pair for split in SPLITS for pair in result[split]]
    require_disjoint(root, result, [pair.image for pair in every], every)
    return result


def list_split(
    root: Path,
    pairs: Sequence[Pair],
    lists: Mapping[Split, str],
    entries: Mapping[Split, Sequence[str]],
    missing_mask: MissingMask = "error",
) -> Pairs:
    """Return the samples that list files name: a stem, or a path with or without folder and extension.

    Args:
        root: Folder that the list files' paths start from.
        pairs: All samples.
        lists: Split → its list file.
        entries: Split → the lines of its list.
        missing_mask: For an image without a mask, which has a pair whose mask is nothing; see `find_pairs`.

    Raises:
        DataError: If a list names an unknown sample, or shares one with another list.
    """
    pairs_by_name = _names(pairs)
    result: Pairs = {split: [] for split in SPLITS}
    for split, lines in entries.items():
        matches = (_known(root, root / lists[split], line, pairs_by_name) for line in lines)
        listed = list(dict.fromkeys(pair for pair in matches if pair))
        lonely = [pair.image for pair in listed if not pair.mask]
        if lonely and missing_mask == "error":
            more = f" ({len(lonely) - 1} more like it)" if len(lonely) > 1 else ""
            message = (
                f"{root / lists[split]}: {lonely[0]} has no mask{more}; add it, or set missing_mask: skip or background"
            )
            report(UnpairedError("image without mask", message, lonely))
        result[split] = [pair for pair in listed if pair.mask or missing_mask == "background"]
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
        for name in (_without_extension(pair.image), _without_extension(PurePosixPath(pair.image).name)):
            names[name] = pair if names.get(name, pair) == pair else None
    for pair in pairs:
        names[pair.name] = pair
    return names


def _without_extension(path: str) -> str:
    pure = PurePosixPath(path)
    return pure.with_suffix("").as_posix() if pure.suffix.lower() in IMAGE_SUFFIXES else path


def _two_files(root: Path, line: str) -> tuple[str, str] | None:
    """Return the paths of an image and a mask in a line, relative to the root if they lie in it."""
    for parts in (line.split("\t"), line.split(","), line.split()):
        if len(parts) == 2 and all((root / part.strip()).is_file() for part in parts):
            image, mask = (_below(root, part.strip()) for part in parts)
            return image, mask
    return None


def _below(root: Path, path: str) -> str:
    """Return a path relative to the root, if it lies in it."""
    pure, base = PurePosixPath(path.replace("\\", "/").removeprefix("./")), PurePosixPath(root.absolute().as_posix())
    return pure.relative_to(base).as_posix() if pure.is_relative_to(base) else pure.as_posix()


def _known(root: Path, path: Path, entry: str, pairs_by_name: Mapping[str, Pair | None]) -> Pair | None:
    name = _without_extension(_below(root, entry))
    if pair := pairs_by_name.get(name):
        return pair
    if name in pairs_by_name:
        report(DataError(f"{path}: {entry!r} names several images; give the path below the image folder"))
    else:
        hint = did_you_mean(name, list(pairs_by_name)[:10_000])
        report(DataError(f"{path}: {entry!r} is not an image here{hint}"))
    return None
