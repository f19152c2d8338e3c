"""Comparison of runs: groups, their scores, and which differences are significant."""

from __future__ import annotations

import filecmp
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightseg.comparison import bootstrap
from lightseg.comparison.bootstrap import Arm, Differences
from lightseg.comparison.groups import RUN, differing, group, labels, resolve
from lightseg.comparison.results import Comparison, Estimate, Group, GroupPair, Trial
from lightseg.comparison.trials import ScoredTrial, align, default_split, make_trials, missing_folds
from lightseg.errors import UserError, did_you_mean
from lightseg.files.names import BEST
from lightseg.metrics.scores import Integers, ScoreFunction, get_metric
from lightseg.runs.diff import describe_code_changes
from lightseg.runs.read import Run

ALL_PAIRS = 6
"""Largest number of groups of which all pairs are reported; of more groups, only those with the best."""


class _ScoredGroup(NamedTuple):
    """Group of which scores are computed, and intervals are not."""

    label: str
    differs: dict[str, str]
    trials: list[Trial]


class _Grouping(NamedTuple):
    """Runs and scored trials of each group.

    Attributes:
        key: Key of the config that defines the groups; None for the whole recipe.
        runs: Runs of each group.
        trials: Trials of each group.
        notes: Messages on a key that was chosen automatically.
    """

    key: str | None
    runs: list[list[Run]]
    trials: list[list[ScoredTrial]]
    notes: list[str]


def compare(
    runs: Sequence[Run],
    by: str | None = None,
    metric_name: str = "score",
    split: str | None = None,
    baseline: str | None = None,
    *,
    force: bool = False,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare runs; their order does not matter.

    Args:
        runs: At least one run.
        by: Key of the config, or its end, whose value defines the groups, or `run` for a group of each run; None for
            the whole recipe, or for each run if one is an ensemble.
        metric_name: Name in `METRICS`, or `score`.
        split: `val` or `test`; None for `test` if all runs have it and none is a fold of a cross-validation, else
            `val`.
        baseline: Label of the group, or folder of one of its runs, that the others are compared with; None for all
            pairs.
        force: Compare runs that were scored on different content or by different protocols, too.
        notes: Messages on the runs that the comparison includes.

    Raises:
        UserError: If there is no such key, metric or baseline, a run is a copy, or the runs are not comparable.
    """
    runs = sorted(runs, key=lambda run: run.folder)
    _require_no_copies(runs)
    split = split or default_split(runs)
    grouping = _group_runs(runs, by, split)
    first = grouping.trials[0][0].evaluation
    images, counts, force_notes = align([trial for trials in grouping.trials for trial in trials], force)
    metric = get_metric(first.kind, metric_name)
    groups = _score_groups(grouping, counts, metric)
    reference = None if baseline is None else _find_baseline(baseline, groups)
    arms = bootstrap.resample_arms([[trial.counts for trial in group.trials] for group in groups], metric)
    return Comparison(
        kind=first.kind,
        split=split,
        metric=metric.name,
        class_metric=metric.class_name,
        classes=tuple(first.classes),
        images=images,
        groups=tuple(_make_group(*pair, f"{split}/{metric_name}") for pair in zip(groups, arms, strict=True)),
        pairs=tuple(_compare_pairs(arms, reference)),
        baseline=reference,
        resamples=bootstrap.RESAMPLES,
        notes=(*notes, *grouping.notes, *force_notes, *_describe_groups(groups, grouping.key, split, first.classes)),
    )


def _require_no_copies(runs: Sequence[Run]) -> None:
    """Check that no run is a copy of another one, which would count as one more training.

    A training that is repeated takes another time, even if it gives the same weights.

    Raises:
        UserError: If one is.
    """
    first_of: dict[tuple[float, object], Run] = {}
    for run in runs:
        first = first_of.setdefault((run.metrics["train/seconds"], run.environment.get("time")), run)
        if first is run:
            continue
        weights, first_weights = (member.folder / "checkpoints" / BEST for member in (run, first))
        if weights.is_file() and first_weights.is_file() and filecmp.cmp(weights, first_weights, shallow=False):
            raise UserError(f"{run.folder}: is a copy of {first.folder}, with the same weights; leave it out")


def _group_runs(runs: Sequence[Run], by: str | None, split: str) -> _Grouping:
    """Group the runs; runs of a single recipe and seed become groups of one run."""
    if by is None and any(run.members for run in runs):
        # an ensemble is compared with each of its members
        by = RUN
    key = resolve(by, runs) if by else None
    grouped = group(runs, key)
    trials = [make_trials(members, split) for members in grouped]
    if key is None and len(grouped) == 1 and len(trials[0]) > 1 and len({run.seed for run in runs}) == 1:
        note = "the runs are of one recipe and one seed: each of them is compared by itself"
        return _Grouping(RUN, [list(trial.runs) for trial in trials[0]], [[trial] for trial in trials[0]], [note])
    return _Grouping(key, grouped, trials, [])


def _score_groups(grouping: _Grouping, counts: Sequence[Integers], metric: ScoreFunction) -> list[_ScoredGroup]:
    """Return the groups with their scores, best first.

    Args:
        grouping: G groups.
        counts: Counts of the trials of all groups in order, int64 `(N, 3, C)` each.
        metric: Metric.
    """
    differs, remaining, groups = differing(grouping.runs), iter(counts), []
    names = labels(grouping.runs, differs, grouping.key)
    for label, group_differs, members in zip(names, differs, grouping.trials, strict=True):
        trials = []
        for member in members:
            image_counts = next(remaining)
            score, *class_scores = metric(image_counts.sum(0))
            trials.append(Trial(member.runs, image_counts, float(score), np.array(class_scores)))
        groups.append(_ScoredGroup(label, group_differs, trials))
    return sorted(groups, key=lambda group: (-statistics.fmean(trial.score for trial in group.trials), group.label))


def _make_group(scored: _ScoredGroup, arm: Arm, metric_key: str) -> Group:
    score, *classes = bootstrap.estimate_scores(arm)
    runs, scores = [run for trial in scored.trials for run in trial.runs], [trial.score for trial in scored.trials]
    throughputs = [run.images_per_s for run in runs if not math.isnan(run.images_per_s)]
    return Group(
        scored.label,
        scored.differs,
        tuple(scored.trials),
        score,
        statistics.stdev(scores) if len(scores) > 1 else math.nan,
        tuple(classes),
        statistics.median(throughputs) if throughputs else math.nan,
        statistics.fmean(run.metrics["train/seconds"] for run in runs),
        tuple(run.metrics.get(metric_key, math.nan) for run in runs if run.fold is not None),
    )


def _clip(estimate: Estimate) -> Estimate:
    """Clip the interval of a difference to its possible values, -1 to 1."""
    low, high = np.clip((estimate.low, estimate.high), -1, 1).tolist()
    return replace(estimate, low=low, high=high)


def _compare_pairs(arms: Sequence[Arm], baseline: int | None) -> Iterator[GroupPair]:
    """Compare groups with the baseline, or all pairs of groups.

    The best of many groups is selected by its score, so that its intervals must hold simultaneously for all pairs, even
    if only the pairs with the best are reported.
    """
    indices = range(len(arms))
    family = list(combinations(indices, 2)) if baseline is None else [(i, baseline) for i in indices if i != baseline]
    random = np.random.default_rng(2)
    reported: dict[tuple[int, int], Differences] = {}
    # of the overall score and of the scores of classes
    maxima, family_sizes = np.zeros((2, bootstrap.RESAMPLES)), np.zeros(2, int)
    for first, second in family:
        differences = bootstrap.compare_arms(arms[first], arms[second], random)
        sizes = np.nan_to_num(differences.sizes)
        maxima = np.maximum(maxima, [sizes[:, 0], sizes[:, 1:].max(1)])
        family_sizes += [differences.images[0] > 0, np.count_nonzero(differences.images[1:])]
        if baseline is not None or len(arms) <= ALL_PAIRS or first == 0:
            reported[first, second] = differences
    for (first, second), differences in reported.items():
        overall, *_ = bootstrap.estimate_differences(differences, maxima[0], int(family_sizes[0]))
        _, *classes = bootstrap.estimate_differences(differences, maxima[1], int(family_sizes[1]))
        has_seeds = min(len(arms[first].scores), len(arms[second].scores)) > 1
        yield GroupPair(first, second, _clip(overall), tuple(map(_clip, classes)), has_seeds)


def _find_baseline(baseline: str, groups: Sequence[_ScoredGroup]) -> int:
    """Return the index of the group with a label, or with a run of a folder."""
    names = [group.label for group in groups]
    if baseline in names:
        return names.index(baseline)
    for index, scored in enumerate(groups):
        folders = [run.folder for trial in scored.trials for run in trial.runs]
        if Path(baseline).resolve() in folders or baseline in [folder.name for folder in folders]:
            return index
    raise UserError(f"--baseline {baseline}: no group or run of these{did_you_mean(baseline, names, len(names))}")


def _describe_groups(
    groups: Sequence[_ScoredGroup], key: str | None, split: str, classes: Sequence[str]
) -> Iterator[str]:
    """Yield notes on repeated seeds, on other differences within groups and between them, and on missing folds."""
    for scored in groups:
        times = Counter(trial.seed for trial in scored.trials)
        for seed in sorted(seed for seed in times if times[seed] > 1):
            yield (
                f"{scored.label}: {times[seed]} runs have the seed {seed}; they may differ less than runs of different "
                "seeds do"
            )
        runs = [run for trial in scored.trials for run in trial.runs]
        if key and (inner := differing(group(runs))[0]):
            yield f"{scored.label}: its runs differ by more than seeds: {', '.join(inner)}"
        if changes := describe_code_changes([run.folder for run in runs]):
            yield f"{scored.label}: its runs differ in code or packages: {changes}"
        for trial in scored.trials:
            if folds := missing_folds(trial.runs, split):
                yield f"{scored.label}, seed {trial.seed}: no fold {', '.join(map(str, folds))}"
    yield from _describe_ensembles(groups)
    yield from _describe_uneven_means([trial for scored in groups for trial in scored.trials], classes)
    if changes := describe_code_changes([scored.trials[0].runs[0].folder for scored in groups]):
        yield f"the groups differ in code or packages, too: {changes}"
    if split == "val":
        yield "val also chose the checkpoint of each run: its scores are a little too high"


def _describe_ensembles(groups: Sequence[_ScoredGroup]) -> Iterator[str]:
    """Yield a note on each ensemble that names the best of its members; the groups are sorted, best first."""
    folders = [{run.folder for trial in scored.trials for run in trial.runs} for scored in groups]
    for scored in groups:
        for run in (run for trial in scored.trials for run in trial.runs if run.members):
            members = {*run.members}
            best = next((each.label for each, inside in zip(groups, folders, strict=True) if inside & members), "")
            if best:
                yield f"{scored.label}: an ensemble of {len(members)} runs, of which {best} is the best"


def _describe_uneven_means(trials: Sequence[Trial], classes: Sequence[str]) -> Iterator[str]:
    """Yield a note for each class that the target lacks and only some trials predict, so that their means differ."""
    for index, name in enumerate(classes):
        _, targets, predictions = np.array([trial.counts[:, :, index].sum(0) for trial in trials]).T
        predicting = np.count_nonzero(predictions)
        if not targets.any() and 0 < predicting < len(trials):
            yield (
                f"{name} is absent from the truth and predicted by {predicting} of {len(trials)} runs, whose means "
                "count it as 0; the means of the others leave it out"
            )
