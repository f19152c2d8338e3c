"""From runs to a comparison: groups, their scores, and which differences are more than chance."""

from __future__ import annotations

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
from lightseg.comparison.results import Comparison, Estimate, Group, Pair, Trial
from lightseg.comparison.trials import Scored, align, default_split, missing_folds, trials
from lightseg.errors import UserError, did_you_mean
from lightseg.metrics.per_image import Counts
from lightseg.metrics.scores import Metric, metric
from lightseg.runs.diff import unlike
from lightseg.runs.read import Run

ALL_PAIRS = 6
"""Of more groups, only those with the best are told."""


class _Part(NamedTuple):
    """Group before its scores have intervals."""

    label: str
    differs: dict[str, str]
    trials: list[Trial]


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
        runs: At least one.
        by: A key of the config, or its end, whose value makes the groups, or `run` for each run by itself; the whole
            recipe if left out.
        metric_name: What to score: a name of `METRICS`, or `score`.
        split: `val` or `test`; `test` if left out, where all have it and none is a fold of a cross-validation.
        baseline: Label of the group, or folder of one of its runs, that the others are compared with; all pairs if left
            out.
        force: Compare what was scored on other content or by another protocol, too.
        notes: What is known of the runs and to be told.

    Raises:
        UserError: If there is no such key, metric or baseline, or the runs do not compare.
    """
    runs = sorted(runs, key=lambda run: run.folder)
    split = split or default_split(runs)
    key, grouped, scored, alone = _grouped(runs, resolve(by, runs) if by else None, split)
    first = scored[0][0].evaluation
    images, counts, forced = align([each for members in scored for each in members], force)
    chosen = metric(first.kind, metric_name)
    parts = _parts(grouped, scored, counts, chosen, key)
    reference = None if baseline is None else _find(baseline, parts)
    arms = bootstrap.arms([[trial.counts for trial in part.trials] for part in parts], chosen)
    return Comparison(
        kind=first.kind,
        split=split,
        metric=chosen.name,
        class_metric=chosen.class_name,
        classes=tuple(first.classes),
        images=images,
        groups=tuple(_group(part, arm, f"{split}/{metric_name}") for part, arm in zip(parts, arms, strict=True)),
        pairs=tuple(_pairs(arms, reference)),
        baseline=reference,
        resamples=bootstrap.RESAMPLES,
        notes=(*notes, *alone, *forced, *_remarks(parts, key, split)),
    )


def _grouped(
    runs: Sequence[Run], key: str | None, split: str
) -> tuple[str | None, list[list[Run]], list[list[Scored]], list[str]]:
    """Return the key of the groups, their runs, their trials, and a note where another key than that was asked for."""
    grouped = group(runs, key)
    scored = [trials(members, split) for members in grouped]
    if key is None and len(grouped) == 1 and len(scored[0]) > 1 and len({run.seed for run in runs}) == 1:
        note = "the runs are of one recipe and one seed: each of them is compared by itself"
        return RUN, [list(each.runs) for each in scored[0]], [[each] for each in scored[0]], [note]
    return key, grouped, scored, []


def _parts(
    grouped: Sequence[Sequence[Run]],
    scored: Sequence[Sequence[Scored]],
    counts: Sequence[Counts],
    chosen: Metric,
    key: str | None,
) -> list[_Part]:
    """Return the groups with their scores, best first."""
    differs, remaining, parts = differing(grouped), iter(counts), []
    for label, differ, members in zip(labels(grouped, differs, key), differs, scored, strict=True):
        made = []
        for each in members:
            of_images = next(remaining)
            score, *of_classes = chosen(of_images.sum(0))
            made.append(Trial(each.runs, of_images, float(score), np.array(of_classes)))
        parts.append(_Part(label, differ, made))
    return sorted(parts, key=lambda part: (-statistics.fmean(trial.score for trial in part.trials), part.label))


def _group(part: _Part, arm: Arm, metric_key: str) -> Group:
    score, *classes = bootstrap.alone(arm)
    runs, scores = [run for trial in part.trials for run in trial.runs], [trial.score for trial in part.trials]
    logged = [run.images_per_s for run in runs if not math.isnan(run.images_per_s)]
    return Group(
        part.label,
        part.differs,
        tuple(part.trials),
        score,
        statistics.stdev(scores) if len(scores) > 1 else math.nan,
        tuple(classes),
        statistics.median(logged) if logged else math.nan,
        statistics.fmean(run.metrics["train/seconds"] for run in runs),
        tuple(run.metrics.get(metric_key, math.nan) for run in runs if run.fold is not None),
    )


def _within(estimate: Estimate) -> Estimate:
    """Return an interval of a difference of shares without what cannot be."""
    low, high = np.clip((estimate.low, estimate.high), -1, 1).tolist()
    return replace(estimate, low=low, high=high)


def _pairs(arms: Sequence[Arm], baseline: int | None) -> Iterator[Pair]:
    """Yield the pairs to compare; the best is chosen by its score, so that intervals must hold for all pairs."""
    indices = range(len(arms))
    family = list(combinations(indices, 2)) if baseline is None else [(i, baseline) for i in indices if i != baseline]
    random = np.random.default_rng(2)
    results: dict[tuple[int, int], Differences] = {}
    most, differ = np.zeros((2, bootstrap.RESAMPLES)), np.zeros(2, int)
    for first, second in family:
        difference = bootstrap.between(arms[first], arms[second], random)
        sizes = np.nan_to_num(difference.sizes)
        most = np.maximum(most, [sizes[:, 0], sizes[:, 1:].max(1)])
        differ += [difference.images[0] > 0, np.count_nonzero(difference.images[1:])]
        if baseline is not None or len(arms) <= ALL_PAIRS or first == 0:
            results[first, second] = difference
    for (first, second), difference in results.items():
        overall = _within(bootstrap.estimates(difference, most[0], int(differ[0]))[0])
        classes = [_within(estimate) for estimate in bootstrap.estimates(difference, most[1], int(differ[1]))[1:]]
        seeds = min(len(arms[first].scores), len(arms[second].scores)) > 1
        yield Pair(first, second, overall, tuple(classes), seeds)


def _find(baseline: str, parts: Sequence[_Part]) -> int:
    """Return the group that is called so, or holds the run that is."""
    names = [part.label for part in parts]
    if baseline in names:
        return names.index(baseline)
    for index, part in enumerate(parts):
        folders = [run.folder for trial in part.trials for run in trial.runs]
        if Path(baseline).resolve() in folders or baseline in [folder.name for folder in folders]:
            return index
    raise UserError(f"--baseline {baseline}: no group or run of these{did_you_mean(baseline, names, len(names))}")


def _remarks(parts: Sequence[_Part], by: str | None, split: str) -> Iterator[str]:
    """Yield what a reader must know of the groups."""
    for part in parts:
        times = Counter(trial.seed for trial in part.trials)
        for seed in sorted(seed for seed in times if times[seed] > 1):
            yield f"{part.label}: {times[seed]} runs have the seed {seed}; they may be less apart than other seeds are"
        runs = [run for trial in part.trials for run in trial.runs]
        if by and (inner := differing(group(runs))[0]):
            yield f"{part.label}: its runs differ by more than seeds: {', '.join(inner)}"
        if code := unlike([run.folder for run in runs]):
            yield f"{part.label}: its runs differ in code or packages: {code}"
        for trial in part.trials:
            if missing := missing_folds(trial.runs, split):
                yield f"{part.label}, seed {trial.seed}: no fold {', '.join(map(str, missing))}"
    if code := unlike([part.trials[0].runs[0].folder for part in parts]):
        yield f"the groups differ in code or packages, too: {code}"
    if split == "val":
        yield "val also chose the checkpoint of each run: its scores are a little too high"
