"""Cross-validation: stratified folds that never split a group, and pooled datasets."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from lightseg.data.dataset import ImageDataset, cached_label_table
from lightseg.data.types import Array, ClassCounts, Indices
from lightseg.errors import ConfigError, DataError, require


@dataclass(frozen=True)
class Fold:
    """Index of a cross-validation fold, from 0, and the number of folds."""

    index: int
    count: int


def parse_fold(folds: int | None, fold: int | None) -> Fold | None:
    """Check the options `data.folds` and `data.fold`.

    Args:
        folds: Number of folds, 2 or more.
        fold: Index of the validation fold, from 0.

    Returns:
        The fold; None if neither option is set.

    Raises:
        ConfigError: If only one is set, or a value is out of range.
    """
    require(folds is None or folds >= 2, f"data.folds: must be 2 or more, got {folds}")
    if folds is None and fold is None:
        return None
    if folds is None or fold is None:
        raise ConfigError(
            "data.folds, data.fold: one needs the other: the number of folds, and the index of the one used as val; "
            "`--folds K` on the command line runs all of them"
        )
    require(0 <= fold < folds, f"data.fold: must be 0 to {folds - 1} with {folds} folds, got {fold}")
    return Fold(fold, folds)


def require_alike(fold: Fold | None, option: str, *, alike: bool) -> None:
    """Check that an option does not change `train` alone if there are folds, since they pool `train` and `val`.

    Args:
        fold: The fold, or None.
        option: Name of the option, for the message.
        alike: Whether its value treats `train` and `val` alike.

    Raises:
        ConfigError: If it changes `train` alone and there are folds.
    """
    require(
        fold is None or alike,
        f"data.{option}: changes train alone, but folds pool train and val; leave out {option} or the folds",
    )


def split_by_fold(
    parts: Sequence[ImageDataset],
    num_classes: int,
    groups: Callable[[Sequence[str]], Sequence[str]],
    fold: Fold,
    seed: int,
) -> tuple[ImageDataset, ImageDataset]:
    """Pool datasets and divide their samples into folds; see `stratified_folds`.

    Args:
        parts: The datasets.
        num_classes: Number of classes C.
        groups: Returns the group of each sample, from the samples' names.
        fold: The validation fold.
        seed: Seed of the division.

    Returns:
        The training samples and the validation samples.

    Raises:
        ConfigError: If there are fewer groups than folds, or `groups` does not return one group per sample.
        DataError: If two samples have the same name.
    """
    names = [part.name(index) for part in parts for index in range(len(part))]
    if len(set(names)) < len(names):
        duplicate = Counter(names).most_common(1)[0][0]
        raise DataError(f"data.folds: two samples of train and val are both called {duplicate}; make the names unique")
    tables = [cached_label_table(part, num_classes) for part in parts]
    table = np.concatenate(tables)[:, :num_classes]
    fold_of = stratified_folds(table, _require_groups(groups, names), fold.count, seed)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    train, val = (
        [np.flatnonzero(part) for part in np.split(is_member, ends)]
        for is_member in (fold_of != fold.index, fold_of == fold.index)
    )
    return _pool(parts, tables, train), _pool(parts, tables, val)


def stratified_folds(table: ClassCounts, groups: Sequence[str], folds: int, seed: int) -> Indices:
    """Divide samples into folds so that every class occurs in about as many samples of each fold.

    Class by class, the rarest first, its samples are assigned to the fold that lacks most of it, or of the folds that
    lack as much, most samples. Whole groups are assigned, the largest first. Remaining ties are broken by a hash of the
    groups' names, so the folds depend neither on the order of the samples nor on the machine.

    Args:
        table: Pixels (or samples) of each class in each sample, `(N, C)`.
        groups: Group of each sample; samples of one group are in one fold.
        folds: Number of folds K.
        seed: Seed of the hash.

    Returns:
        The fold of each sample, `(N,)` int64 in [0, K); no fold is empty.

    Raises:
        ConfigError: If there are fewer groups than folds.

    Source: Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label data", algorithm 1; there
    for single samples.
    """
    ids = sorted(set(groups), key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest())
    unit = "samples" if len(ids) == len(groups) else "groups, which stay together,"
    require(len(ids) >= folds, f"data.folds: {len(ids)} {unit} cannot fill {folds} folds; give {len(ids)} or less")
    index_of = {group: index for index, group in enumerate(ids)}
    group_index = np.array([index_of[group] for group in groups])
    # per group, the number of samples that hold each class, and in the last column the number of samples
    sample_counts = np.zeros((len(ids), table.shape[1] + 1), np.int64)
    np.add.at(sample_counts, group_index, np.column_stack([table > 0, np.ones(len(table), np.int64)]))
    fold_of: Indices = _assign_groups(sample_counts, folds)[group_index]
    return fold_of


def _require_groups(groups: Callable[[Sequence[str]], Sequence[str]], names: Sequence[str]) -> Sequence[str]:
    """Return the group of each sample, checked since it may come from user code."""
    result = groups(names)
    group_names = list(result) if isinstance(result, Iterable) else []
    # the qualified name of a method is CLASS.groups
    function = getattr(groups, "__qualname__", "groups")
    require(
        len(group_names) == len(names),
        f"{function}: must return one group per sample, got {len(group_names)} groups of {len(names)} samples",
    )
    return group_names


def _assign_groups(sample_counts: ClassCounts, folds: int) -> Indices:
    """Return the fold of each group, `(G,)`, from its samples per class and in all, `(G, C + 1)`, in random order."""
    # multiplied by the number of folds, so that all numbers are integers
    deficit = np.tile(sample_counts.sum(0), (folds, 1))
    fold_of = np.full(len(sample_counts), -1)
    while (fold_of < 0).any():
        remaining = sample_counts[fold_of < 0].sum(0)
        # the last column is chosen only when all remaining samples are void
        label = int(np.argmin(np.where(remaining > 0, remaining, np.iinfo(np.int64).max)))
        pending = np.flatnonzero((fold_of < 0) & (sample_counts[:, label] > 0))
        for group in pending[np.argsort(-sample_counts[pending, label], kind="stable")]:
            fold = max(range(folds), key=lambda k: (deficit[k, label], deficit[k, -1], -k))
            fold_of[group] = fold
            deficit[fold] -= folds * sample_counts[group]
    return fold_of


def _pool(parts: Sequence[ImageDataset], tables: Sequence[ClassCounts], indices: Sequence[Indices]) -> ImageDataset:
    table = np.concatenate([table[rows] for table, rows in zip(tables, indices, strict=True)])
    return Pooled([part.subset(rows) for part, rows in zip(parts, indices, strict=True)], table)


def pool_datasets(parts: Sequence[ImageDataset], num_classes: int) -> "Pooled":
    """Concatenate datasets and their label tables."""
    return Pooled(parts, np.concatenate([cached_label_table(part, num_classes) for part in parts]))


class Pooled(ImageDataset):
    """Concatenation of datasets.

    Args:
        parts: The datasets.
        table: `label_table` of all samples, int64.
    """

    def __init__(self, parts: Sequence[ImageDataset], table: ClassCounts) -> None:
        self._parts, self._table, self.multilabel = list(parts), table, parts[0].multilabel
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        part, local = self._locate(index)
        return part[local]

    def name(self, index: int) -> str:
        """Return the sample's name in its own dataset."""
        part, local = self._locate(index)
        return part.name(local)

    def is_turned_alone(self, index: int) -> bool:
        """Return this property of the sample in its own dataset."""
        part, local = self._locate(index)
        return part.is_turned_alone(local)

    def fingerprint(self) -> str:
        """Return a hash of the parts' fingerprints."""
        return _hash(part.fingerprint() for part in self._parts)

    def image_digest(self) -> bytes:
        """Return the digests of the parts, one after another."""
        return b"".join(part.image_digest() for part in self._parts)

    def cache_key(self) -> str:
        """Return a hash of the parts' cache keys."""
        return _hash(part.cache_key() for part in self._parts)

    def class_table(self, num_classes: int) -> ClassCounts:
        """Return the class counts of the table passed to the constructor."""
        return self.label_table(num_classes)[:, :-1]

    def label_table(self, num_classes: int) -> ClassCounts:  # noqa: ARG002
        """Return the label table passed to the constructor."""
        return self._table

    def _locate(self, index: int) -> tuple[ImageDataset, int]:
        part = bisect_right(self._ends, index)
        return self._parts[part], index - (self._ends[part - 1] if part else 0)


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
