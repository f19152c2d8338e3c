"""Trials: scored runs, or pooled folds of a cross-validation, and their alignment on common images."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lightseg.comparison.groups import canonical, recipe
from lightseg.errors import UserError
from lightseg.files.printable import format_count, join_names
from lightseg.metrics.per_image import PerImageResults
from lightseg.metrics.scores import Integers
from lightseg.runs.fingerprint import abbreviate, combine, differ
from lightseg.runs.read import Run


class ScoredTrial(NamedTuple):
    """Runs of a trial and their per-image results.

    Attributes:
        runs: One run, or one run of each fold.
        evaluation: Per-image results; of folds, pooled.
    """

    runs: tuple[Run, ...]
    evaluation: PerImageResults

    @property
    def label(self) -> str:
        """Name of the trial in messages."""
        more = f" and {len(self.runs) - 1} more folds" if len(self.runs) > 1 else ""
        return f"{self.runs[0].folder}{more}"


def default_split(runs: Sequence[Run]) -> str:
    """Return the split to compare on: `test` if all runs have it, and none is a fold or one is an ensemble, else `val`.

    Folds are pooled on `val`, of which an ensemble of folds has no score.
    """
    has_folds = any(run.fold is not None for run in runs) and not any(run.members for run in runs)
    return "test" if not has_folds and all("test/score" in run.metrics for run in runs) else "val"


def make_trials(runs: Sequence[Run], split: str) -> list[ScoredTrial]:
    """Return the trials of a group; the folds of one seed are one trial, whose `val` splits partition the data.

    Args:
        runs: Runs of a group.
        split: `val` or `test`; folds are pooled on `val` only.

    Raises:
        UserError: If a run has no counts of the split, or folds overlap.
    """
    folds: dict[tuple[int, str, int], list[Run]] = {}
    times = Counter[tuple[int, str, int | None]]()
    for run in runs:
        recipe_text, fold = canonical(recipe(run)), run.fold
        times[run.seed, recipe_text, fold] += 1
        # a repeated fold belongs to the next trial, and a run without folds is a trial
        is_single = split != "val" or fold is None
        number = len(folds) if is_single else times[run.seed, recipe_text, fold] - 1
        folds.setdefault((run.seed, f"{run.folder}" if is_single else recipe_text, number), []).append(run)
    return [_pool(sorted(members, key=lambda run: run.fold or 0), split) for members in folds.values()]


def missing_folds(runs: Sequence[Run], split: str) -> list[int]:
    """Return the indices of the missing folds of a trial on `val`; on `test`, which all folds share, there are none."""
    # the type of these options is validated when a config is read
    folds = (runs[0].config["data"].get("init_args") or {}).get("folds") if split == "val" else None
    return sorted(set(range(folds or 0)) - {run.fold for run in runs})


def align(scored: Sequence[ScoredTrial], force: bool = False) -> tuple[tuple[str, ...], list[Integers], list[str]]:
    """Check that trials are comparable, and bring their counts into the same order of images.

    Args:
        scored: At least one trial.
        force: Ignore differences of content and protocol, and compare on the common images.

    Returns:
        N image names; the counts of each trial, int64 `(N, 3, C)`; and notes on ignored differences.

    Raises:
        UserError: If two trials are not comparable; the message has their differences.
    """
    first, notes = scored[0], [note for trial in scored for note in _check_pools(trial, force)]
    for trial in scored[1:]:
        blocking, ignorable = _differences(first.evaluation, trial.evaluation)
        if blocking or (ignorable and not force):
            raise UserError(
                f"{first.label} and {trial.label} do not compare on {first.evaluation.split}:\n  "
                + "\n  ".join([*blocking, *ignorable])
                + ("\nleave one of them out" if blocking else "\nleave one of them out, or --force it")
            )
        if ignorable:
            notes.append(f"forced: {first.label} and {trial.label} differ: {'; '.join(ignorable)}")
    indices = [_image_indices(trial.evaluation) for trial in scored]
    common = sorted(set.intersection(*map(set, indices)))
    if not common:
        raise UserError("there is no image that all of these runs were scored on; leave out those that have others")
    counts = [
        trial.evaluation.dense[[trial_indices[name] for name in common]]
        for trial, trial_indices in zip(scored, indices, strict=True)
    ]
    return tuple(name for name, _ in common), counts, notes


def _pool(runs: Sequence[Run], split: str) -> ScoredTrial:
    """Return the trial of a run, or of folds with pooled per-image results.

    Raises:
        UserError: If the folds have different classes or protocols, or common images.
    """
    parts = [_evaluation(run, split) for run in runs]
    if len(parts) == 1:
        return ScoredTrial((runs[0],), parts[0])
    first, images = parts[0], [name for part in parts for name in part.images]
    names, times = np.unique(images, return_counts=True)
    for run, part in zip(runs[1:], parts[1:], strict=True):
        if differ := _compare_attributes(first, part, ("kind", "classes", "protocol")):
            raise UserError(
                f"{runs[0].folder} and {run.folder} are folds of one trial, but differ: {'; '.join(differ)}"
            )
    if (times > 1).any():
        raise UserError(
            f"{runs[0].folder} and {len(runs) - 1} more folds have images in common ({names[times > 1][0]}): "
            "they were made of other data, or by other seeds of the split; leave those out"
        )
    starts = np.cumsum([0, *(len(part.images) for part in parts)])
    rows = [part.rows + np.array([start, 0, 0, 0, 0]) for part, start in zip(parts, starts, strict=False)]
    data = combine([part.data for part in parts])
    indices = np.concatenate([part.indices for part in parts])
    pooled = PerImageResults(
        first.kind, split, data, first.protocol, first.classes, images, indices, np.concatenate(rows)
    )
    return ScoredTrial(tuple(runs), pooled)


def _check_pools(trial: ScoredTrial, force: bool) -> list[str]:
    """Check that the folds of a trial are of the same data; return notes.

    Raises:
        UserError: If they are not, and `force` is off.
    """
    pools = [pool for run in trial.runs if (pool := _describe_pool(run))]
    for samples, fingerprint in pools[1:]:
        first_samples, first_fingerprint = pools[0]
        if samples != first_samples or (fingerprint and first_fingerprint and differ(fingerprint, first_fingerprint)):
            difference = f"{first_samples} and {samples} samples"
            if samples == first_samples:
                difference = f"other content, hash {abbreviate(first_fingerprint)} and {abbreviate(fingerprint)}"
            message = f"{trial.label}: its folds were dealt from different data ({difference})"
            if not force:
                raise UserError(f"{message}\nleave those of the one or of the other out, or --force it")
            return [f"forced: {message}"]
    if len(pools) > 1 and not all(fingerprint for _, fingerprint in pools):
        return [f"{trial.label}: whether its folds are of the same data is unknown; older versions did not record it"]
    return []


def _describe_pool(run: Run) -> tuple[int, str] | None:
    """Return samples and fingerprint of the data of all folds; an unknown fingerprint is empty, unknown data None."""
    if pool := run.data.get("pool"):
        return pool["samples"], pool.get("sha256") or ""
    parts = [run.data.get(split) for split in ("train", "val")]
    return (sum(part["samples"] for part in parts if part), "") if all(parts) else None


def _evaluation(run: Run, split: str) -> PerImageResults:
    evaluation = run.evaluation(split)
    if evaluation is None and f"{split}/score" in run.metrics:
        raise UserError(
            f"{run.folder}: has no per_image_{split}.npz: it was made by an older version of lightseg; "
            "train it again, or leave it out"
        )
    if evaluation is None:
        alternative = "val" if split == "test" else "test"
        raise UserError(f"{run.folder}: has no {split} score; compare with --split {alternative}, or leave it out")
    if not evaluation.classes:
        raise UserError(f"{run.folder / f'per_image_{split}.npz'}: is damaged (it has no classes); bring it back")
    return evaluation


def _differences(first: PerImageResults, second: PerImageResults) -> tuple[list[str], list[str]]:
    """Return the differences that make two evaluations incomparable, and those that can be ignored by `--force`."""
    blocking = _compare_attributes(first, second, ("kind", "classes"))
    if blocking:
        return blocking, []
    ignorable = _compare_attributes(first, second, ("protocol", "data"))
    a, b = _image_indices(first), _image_indices(second)
    ours, theirs, common = (sorted(names) for names in (a.keys() - b.keys(), b.keys() - a.keys(), a.keys() & b.keys()))
    if ours or theirs:
        surplus = [
            f"only {_list_images(names)} in the {ordinal}"
            for ordinal, names in (("first", ours), ("second", theirs))
            if names
        ]
        ignorable.append(f"images: {', '.join(surplus)}, {len(common)} in both")
    differs = first.dense[[a[name] for name in common], 1] != second.dense[[b[name] for name in common], 1]
    if differs.any():
        changed = [name for name, is_changed in zip(common, differs.any(1), strict=True) if is_changed]
        ignorable.append(f"truth: that of {_list_images(changed)} is another")
    return blocking, ignorable


def _compare_attributes(first: PerImageResults, second: PerImageResults, names: Sequence[str]) -> list[str]:
    """Return a message for each attribute that differs."""
    messages = []
    for name in names:
        a, b = getattr(first, name), getattr(second, name)
        if name == "data":
            if differ(a, b):
                messages.append(f"data: the content of the split is another (hash {abbreviate(a)} and {abbreviate(b)})")
        elif a != b:
            messages.append(f"{name}: {_format_names(a)} and {_format_names(b)}")
    return messages


def _image_indices(evaluation: PerImageResults) -> dict[tuple[str, int], int]:
    """Return the index of each image by its name and its number among the images of the same name."""
    times = Counter[str]()
    indices = {}
    for index, name in enumerate(evaluation.images):
        indices[name, times[name]] = index
        times[name] += 1
    return indices


def _list_images(images: Sequence[tuple[str, int]]) -> str:
    return f"{format_count(len(images), 'image')} ({join_names([name for name, _ in images], 3)})"


def _format_names(value: str | Sequence[str]) -> str:
    return f"“{value}”" if isinstance(value, str) else f"[{', '.join(value)}]"
