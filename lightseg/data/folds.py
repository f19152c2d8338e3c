"""Cross-validation: samples dealt into folds that are alike in their classes, whole groups at a time."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from lightseg.data.dataset import ImageDataset, cached_class_table
from lightseg.data.types import Array, ClassCounts
from lightseg.errors import ConfigError, DataError, require

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """Fold of a cross-validation: its number, counted from 0, and the number of folds."""

    index: int
    count: int


def as_fold(folds: int | None, fold: int | None) -> Fold | None:
    """Return the options `folds` and `fold`, checked; None if neither is given.

    Raises:
        ConfigError: If they do not fit each other.
    """
    require(folds is None or folds >= 2, f"data.folds: {folds} will not do; give 2 or more")
    if folds is None and fold is None:
        return None
    if folds is None or fold is None:
        raise ConfigError(
            "data.folds, data.fold: one needs the other: how many folds there are, and which one is val; "
            "`--folds K` on the command line runs all of them"
        )
    require(0 <= fold < folds, f"data.fold: {fold} is none of the {folds} folds; give 0 to {folds - 1}")
    return Fold(fold, folds)


def require_alike(fold: Fold | None, option: str, *, alike: bool) -> None:
    """See that an option makes `train` and `val` alike, since folds pool them.

    Raises:
        ConfigError: If it is for `train` alone and there are folds; `option` names it.
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
    """Pool datasets and deal their samples into folds; see `stratified_folds`.

    Args:
        parts: The datasets.
        num_classes: C.
        groups: Gives the group of each sample by its name.
        fold: The fold that is validated on.
        seed: Another seed gives other folds.

    Returns:
        The samples to train on, and those to validate on.

    Raises:
        ConfigError: If there are fewer groups than folds, or there is not one of each sample.
        DataError: If two samples have one name.
    """
    names = [part.name(index) for part in parts for index in range(len(part))]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(
            f"data.folds: two samples of train and val are both called {twice}; give them names of their own"
        )
    tables = [cached_class_table(part, num_classes) for part in parts]
    fold_of = stratified_folds(np.concatenate(tables), _require_groups(groups, names), fold.count, seed)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    train, val = (
        [np.flatnonzero(indices) for indices in np.split(chosen, ends)]
        for chosen in (fold_of != fold.index, fold_of == fold.index)
    )
    return _pool(parts, tables, train), _pool(parts, tables, val)


def stratified_folds(table: ClassCounts, groups: Sequence[str], folds: int, seed: int) -> Indices:
    """Deal samples out so that every class occurs in as many samples of each fold as of the others, or nearly.

    Class by class, the rarest first, its samples go to the fold that lacks most of it, then to the one that lacks most
    samples. Groups take the place of samples, the largest first; chance is left where they are equal, and hashes the
    groups' names, so that neither the order of the samples nor the machine matters.

    Args:
        table: Pixels (or samples) of each class in each sample, `(N, C)`.
        groups: Group of each sample; samples of one group stay together.
        folds: Number of folds, K.
        seed: Another seed gives other folds.

    Returns:
        The fold of each sample, `(N,)`, in [0, K); none of them is empty.

    Raises:
        ConfigError: If there are fewer groups than folds.

    Source: Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label data", algorithm 1; there of
    single samples.
    """
    ids = sorted(set(groups), key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest())
    what = "samples" if len(ids) == len(groups) else "groups, which stay together,"
    require(len(ids) >= folds, f"data.folds: {len(ids)} {what} cannot fill {folds} folds; give {len(ids)} or less")
    number = {group: index for index, group in enumerate(ids)}
    member = np.array([number[group] for group in groups])
    # samples that hold a class, and in the last column all samples, of each group
    holds = np.zeros((len(ids), table.shape[1] + 1), np.int64)
    np.add.at(holds, member, np.column_stack([table > 0, np.ones(len(table), np.int64)]))
    fold_of: Indices = _deal(holds, folds)[member]
    return fold_of


def _require_groups(groups: Callable[[Sequence[str]], Sequence[str]], names: Sequence[str]) -> Sequence[str]:
    """Return the group of each sample, from what may be a user's own code."""
    groups_of_names = groups(names)
    group_names = list(groups_of_names) if isinstance(groups_of_names, Iterable) else []
    # of a method, this is CLASS.groups
    maker = getattr(groups, "__qualname__", "groups")
    require(
        len(group_names) == len(names),
        f"{maker} gave {len(group_names)} groups of {len(names)} samples; it must give one of each",
    )
    return group_names


def _deal(holds: ClassCounts, folds: int) -> Indices:
    """Return the fold of each group, given in random order, with the samples that hold a class and all samples."""
    # times the number of folds, so that they are whole numbers
    lacking = np.tile(holds.sum(0), (folds, 1))
    fold_of = np.full(len(holds), -1)
    while (fold_of < 0).any():
        remaining = holds[fold_of < 0].sum(0)
        # the last column is the rarest only when no class is left, and its samples are void
        label = int(np.argmin(np.where(remaining > 0, remaining, np.iinfo(np.int64).max)))
        waiting = np.flatnonzero((fold_of < 0) & (holds[:, label] > 0))
        for group in waiting[np.argsort(-holds[waiting, label], kind="stable")]:
            fold = max(range(folds), key=lambda k: (lacking[k, label], lacking[k, -1], -k))
            fold_of[group] = fold
            lacking[fold] -= folds * holds[group]
    return fold_of


def _pool(parts: Sequence[ImageDataset], tables: Sequence[ClassCounts], chosen: Sequence[Indices]) -> ImageDataset:
    table = np.concatenate([table[indices] for table, indices in zip(tables, chosen, strict=True)])
    return Pooled([part.subset(indices) for part, indices in zip(parts, chosen, strict=True)], table)


def pooled(parts: Sequence[ImageDataset], num_classes: int) -> "Pooled":
    """All samples of datasets as one."""
    return Pooled(parts, np.concatenate([cached_class_table(part, num_classes) for part in parts]))


class Pooled(ImageDataset):
    """Samples of several datasets as one.

    Args:
        parts: The datasets.
        table: `class_table` of all of them, `(N, C)`, which has been read already.
    """

    def __init__(self, parts: Sequence[ImageDataset], table: ClassCounts) -> None:
        self._parts, self._table = list(parts), table
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> tuple[Array, Array | int]:
        part, local = self._at(index)
        return part[local]

    def name(self, index: int) -> str:
        """Return the name of the sample in its own dataset."""
        part, local = self._at(index)
        return part.name(local)

    def is_turned_alone(self, index: int) -> bool:
        """As in its own dataset."""
        part, local = self._at(index)
        return part.is_turned_alone(local)

    def fingerprint(self) -> str:
        """Return a hash of the parts' fingerprints."""
        return _hash(part.fingerprint() for part in self._parts)

    def cache_key(self) -> str:
        """Return a hash of the parts' keys."""
        return _hash(part.cache_key() for part in self._parts)

    def class_table(self, num_classes: int) -> ClassCounts:  # noqa: ARG002
        """Return the table that was given."""
        return self._table

    def _at(self, index: int) -> tuple[ImageDataset, int]:
        part = bisect_right(self._ends, index)
        return self._parts[part], index - (self._ends[part - 1] if part else 0)


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
