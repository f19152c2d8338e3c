"""Splits by list files, which name the samples of each."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from lightseg.data.io.error_collector import report
from lightseg.data.io.text_file import read_text
from lightseg.data.splits import Named, Splits, relative_to, require_disjoint, without_extension
from lightseg.data.types import SPLITS, Split
from lightseg.errors import ConfigError, DataError, did_you_mean
from lightseg.files.atomic import expand_home

_Sample = TypeVar("_Sample", bound=Named)


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
        # invalid UTF-8 is harmless in a comment, and in an entry leads to the message that it is not an image
        text = read_text(path, errors="surrogateescape")
        lines = [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines()]
        entries[split] = [line for line in lines if line and not line.startswith("#")]
        if not entries[split]:
            raise DataError(f"{path}: the list of the {split} split names no image")
    return entries


def list_split(
    root: Path,
    samples: Sequence[_Sample],
    lists: Mapping[Split, str],
    entries: Mapping[Split, Sequence[str]],
) -> Splits[_Sample]:
    """Return the samples that list files name: by stem, or by path with or without folder and extension.

    Args:
        root: Folder that the list files' paths are relative to.
        samples: All samples.
        lists: Split → its list file.
        entries: Split → the lines of its list.

    Returns:
        The samples of each split, in the order of its list.

    Raises:
        DataError: If a list names an unknown sample, or shares one with another list.
    """
    sample_of = _index_names(samples)
    result: Splits[_Sample] = {split: [] for split in SPLITS}
    for split, lines in entries.items():
        matches = (_find_sample(root, root / lists[split], line, sample_of) for line in lines)
        result[split] = list(dict.fromkeys(sample for sample in matches if sample))
    require_disjoint(root, result, [sample.name for sample in samples], samples)
    return result


def _index_names(samples: Sequence[_Sample]) -> dict[str, _Sample | None]:
    """Return the samples by every name they may have in a list; None where a name is ambiguous."""
    names: dict[str, _Sample | None] = {}
    for sample in samples:
        base = PurePosixPath(sample.name).name
        names[base] = None if base in names else sample
    for sample in samples:
        for name in (without_extension(sample.image), without_extension(PurePosixPath(sample.image).name)):
            names[name] = sample if names.get(name, sample) == sample else None
    for sample in samples:
        names[sample.name] = sample
    return names


def _find_sample(root: Path, path: Path, entry: str, sample_of: Mapping[str, _Sample | None]) -> _Sample | None:
    """Return the sample of a list's entry; None after reporting that there is none, or several."""
    relative = relative_to(root, expand_home(entry))
    name = without_extension(relative)
    if sample := sample_of.get(relative) or sample_of.get(name):
        return sample
    if name in sample_of:
        report(DataError(f"{path}: {entry!r} names several images; write the path below the image folder"))
    else:
        hint = did_you_mean(name, list(sample_of)[:10_000])
        report(DataError(f"{path}: {entry!r} is not an image here{hint}"))
    return None
