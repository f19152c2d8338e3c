"""Trials (runs, or the folds of one cross-validation together), and whether all were scored on the same data."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lightseg.comparison.groups import canonical, recipe
from lightseg.errors import UserError
from lightseg.metrics.per_image import Counts, PerImageResults
from lightseg.runs.fingerprint import abbreviate, differ
from lightseg.runs.read import Run

_NAMED = 3
"""So many images are named where they differ."""


class Scored(NamedTuple):
    """Runs that are one trial, and how they were scored.

    Attributes:
        runs: One run, or one of each fold.
        evaluation: Per-image counts; of folds those of all.
    """

    runs: tuple[Run, ...]
    evaluation: PerImageResults

    @property
    def label(self) -> str:
        """Its first run, as it is named to a reader."""
        more = f" and {len(self.runs) - 1} more folds" if len(self.runs) > 1 else ""
        return f"{self.runs[0].folder}{more}"


def default_split(runs: Sequence[Run]) -> str:
    """Return the split to compare on: `val` of the folds of a cross-validation, else `test` where all have one."""
    folds = any(run.fold is not None for run in runs)
    return "test" if not folds and all("test/score" in run.metrics for run in runs) else "val"


def trials(runs: Sequence[Run], split: str) -> list[Scored]:
    """Return the trials of a group; folds of one seed are one, since together their `val` splits are all the data once.

    Raises:
        UserError: If a run has no counts of the split, or folds overlap.
    """
    folds: dict[tuple[int, str, int], list[Run]] = {}
    times = Counter[tuple[int, str, int | None]]()
    for run in runs:
        recipe_of, fold = canonical(recipe(run)), run.fold
        times[run.seed, recipe_of, fold] += 1
        # a fold that was trained again belongs to another trial; so does what is no fold
        alone = split != "val" or fold is None
        which = len(folds) if alone else times[run.seed, recipe_of, fold] - 1
        folds.setdefault((run.seed, f"{run.folder}" if alone else recipe_of, which), []).append(run)
    return [_joined(sorted(parts, key=lambda run: run.fold or 0), split) for parts in folds.values()]


def missing_folds(runs: Sequence[Run], split: str) -> list[int]:
    """Folds of a cross-validation that a trial lacks; they have one `test` split, of which none lacks anything."""
    # of the options whose form is known when a config is read
    folds = (runs[0].config["data"].get("init_args") or {}).get("folds") if split == "val" else None
    return sorted(set(range(folds or 0)) - {run.fold for run in runs})


def align(scored: Sequence[Scored], force: bool = False) -> tuple[tuple[str, ...], list[Counts], list[str]]:
    """Bring the counts of trials into one order of images, if they were scored on the same and in the same way.

    Args:
        scored: At least one trial.
        force: Compare what other content or another protocol was scored on, too, on the images that all have.

    Returns:
        The N image names; int64 `(N, 3, C)` of each trial; what was passed over.

    Raises:
        UserError: If they do not compare; the message names two of them, what differs and how.
    """
    first, notes = scored[0], [note for each in scored for note in _about_pools(each, force)]
    for candidate in scored[1:]:
        final, passable = _differences(first.evaluation, candidate.evaluation)
        if final or (passable and not force):
            raise UserError(
                f"{first.label} and {candidate.label} do not compare on {first.evaluation.split}:\n  "
                + "\n  ".join([*final, *passable])
                + ("\nleave one of them out" if final else "\nleave one of them out, or --force it")
            )
        if passable:
            notes.append(f"forced: {first.label} and {candidate.label} differ: {'; '.join(passable)}")
    places = [_places(each.evaluation) for each in scored]
    common = sorted(set.intersection(*map(set, places)))
    if not common:
        raise UserError("there is no image that all of these runs were scored on; leave out those that have others")
    counts = [
        each.evaluation.dense[[place[name] for name in common]] for each, place in zip(scored, places, strict=True)
    ]
    return tuple(name for name, _ in common), counts, notes


def _joined(runs: Sequence[Run], split: str) -> Scored:
    """Return one evaluation of all parts."""
    parts = [_evaluation(run, split) for run in runs]
    if len(parts) == 1:
        return Scored((runs[0],), parts[0])
    first, images = parts[0], [name for part in parts for name in part.images]
    names, times = np.unique(images, return_counts=True)
    for run, part in zip(runs[1:], parts[1:], strict=True):
        if differ := _facts(first, part, ("kind", "classes", "protocol")):
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
    data = hashlib.sha256("".join(sorted(part.data for part in parts)).encode()).hexdigest()
    indices = np.concatenate([part.indices for part in parts])
    results = PerImageResults(
        first.kind, split, data, first.protocol, first.classes, images, indices, np.concatenate(rows)
    )
    return Scored(tuple(runs), results)


def _about_pools(trial: Scored, force: bool) -> list[str]:
    """See that the folds of a trial were dealt from the same data; what is to be told of it.

    Raises:
        UserError: If they were not, and it is not forced.
    """
    pools = [pool for run in trial.runs if (pool := _pool(run))]
    for samples, fingerprint in pools[1:]:
        then, before = pools[0]
        if samples != then or (fingerprint and before and differ(fingerprint, before)):
            what = f"{then} and {samples} samples"
            if samples == then:
                what = f"other content, hash {abbreviate(before)} and {abbreviate(fingerprint)}"
            message = f"{trial.label}: its folds were dealt from different data ({what})"
            if not force:
                raise UserError(f"{message}\nleave those of the one or of the other out, or --force it")
            return [f"forced: {message}"]
    if len(pools) > 1 and not all(fingerprint for _, fingerprint in pools):
        return [f"{trial.label}: whether its folds are of the same data is unknown; older versions did not record it"]
    return []


def _pool(run: Run) -> tuple[int, str] | None:
    """Samples and fingerprint of what a fold was dealt from; an empty one, or None, where it is not known."""
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
        second_split = "val" if split == "test" else "test"
        raise UserError(f"{run.folder}: has no {split} score; compare with --split {second_split}, or leave it out")
    if not evaluation.classes:
        raise UserError(f"{run.folder / f'per_image_{split}.npz'}: is damaged (it has no classes); bring it back")
    return evaluation


def _differences(first: PerImageResults, second: PerImageResults) -> tuple[list[str], list[str]]:
    """Return what keeps two evaluations from being compared: for good, and unless it is forced."""
    final = _facts(first, second, ("kind", "classes"))
    if final:
        return final, []
    passable = _facts(first, second, ("protocol", "data"))
    a, b = _places(first), _places(second)
    ours, theirs, both = (sorted(names) for names in (a.keys() - b.keys(), b.keys() - a.keys(), a.keys() & b.keys()))
    if ours or theirs:
        lacking = [
            f"only {_named(names)} in the {which}" for which, names in (("first", ours), ("second", theirs)) if names
        ]
        passable.append(f"images: {', '.join(lacking)}, {len(both)} in both")
    true = first.dense[[a[name] for name in both], 1] != second.dense[[b[name] for name in both], 1]
    if true.any():
        changed = [name for name, different in zip(both, true.any(1), strict=True) if different]
        passable.append(f"truth: that of {_named(changed)} is another")
    return final, passable


def _facts(first: PerImageResults, second: PerImageResults, names: Sequence[str]) -> list[str]:
    problems = []
    for name in names:
        a, b = getattr(first, name), getattr(second, name)
        if name == "data":
            if differ(a, b):
                problems.append(f"data: the content of the split is another (hash {abbreviate(a)} and {abbreviate(b)})")
        elif a != b:
            problems.append(f"{name}: {_listed(a)} and {_listed(b)}")
    return problems


def _places(evaluation: PerImageResults) -> dict[tuple[str, int], int]:
    """Return where each image is; the number tells images of the same name apart."""
    counts = Counter[str]()
    places = {}
    for index, name in enumerate(evaluation.images):
        places[name, counts[name]] = index
        counts[name] += 1
    return places


def _named(images: Sequence[tuple[str, int]]) -> str:
    names = ", ".join(name for name, _ in images[:_NAMED])
    return f"{len(images)} image{'s' * (len(images) > 1)} ({names}{', …' * (len(images) > _NAMED)})"


def _listed(value: str | Sequence[str]) -> str:
    return f"“{value}”" if isinstance(value, str) else f"[{', '.join(value)}]"
