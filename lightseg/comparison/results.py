"""Results of a comparison, which the table, the files and the page show.

Scores are fractions, 0 to 1, and NaN where undefined, as of an absent class. Texts have percentages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightseg.comparison.groups import group
from lightseg.metrics.absent_classes import absent
from lightseg.metrics.formatting import LEVEL
from lightseg.metrics.scores import Floats, Integers, ScoreKind
from lightseg.runs.read import Run

_SPELLED_GROUPS, _SPELLED_LENGTH = 3, 16
"""Number of groups, and length of labels, up to which groups are called by their labels everywhere."""


@dataclass(frozen=True)
class Estimate:
    """Score or score difference with its 95 % confidence interval.

    Attributes:
        value: Measured value; NaN if undefined.
        low: Lower end of the interval; NaN if unknown, as of a class that only one image has.
        high: Upper end of the interval.
        p: p-value of a difference, below 0.05 exactly if the interval excludes 0; NaN of a score.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def shown(self) -> bool:
        """Return whether a difference is significant."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Trial:
    """Scored run, or scored folds of one seed whose `val` splits are pooled.

    Attributes:
        runs: One run, or one run of each fold, in the order of the folds.
        counts: True-positive, target and prediction pixels of each image and class, int64 `(N, 3, C)`, with images in
            the order of `Comparison.images`. A sample of a classification counts as an image of one pixel.
        score: Score on all images.
        classes: Score of each class, float64 `(C,)`.
    """

    runs: tuple[Run, ...]
    counts: Integers
    score: float
    classes: Floats

    @property
    def seed(self) -> int:
        """Seed of the runs."""
        return self.runs[0].seed


@dataclass(frozen=True)
class Group:
    """Trials of one recipe, which differ only by their seeds, or of all recipes with the same value of one key.

    Attributes:
        label: Short name, unique in the comparison.
        differs: Values of the options that differ between the groups, as text by short key; `–` for a missing option.
        trials: At least one trial.
        score: Mean score of the trials, with an individual interval.
        deviation: Sample standard deviation of the trials' scores; NaN of a single trial.
        classes: Mean score of each of the C classes, with individual intervals.
        images_per_s: Median training throughput of the runs; NaN if none was logged.
        seconds: Mean training time of a run.
        folds: Score of each fold of a cross-validation; empty without cross-validation.
    """

    label: str
    differs: dict[str, str]
    trials: tuple[Trial, ...]
    score: Estimate
    deviation: float
    classes: tuple[Estimate, ...]
    images_per_s: float
    seconds: float
    folds: tuple[float, ...] = ()

    @property
    def runs(self) -> list[Run]:
        """Runs of all trials."""
        return [run for trial in self.trials for run in trial.runs]

    @property
    def cost(self) -> dict[str, Any]:
        """`parameters` and `gflops` of the net, and `input`, the `[C, H, W]` of these; None where the runs differ."""
        costs = [run.cost for run in self.runs]
        return {
            name: costs[0].get(name) if all(cost.get(name) == costs[0].get(name) for cost in costs) else None
            for name in ("parameters", "gflops", "input")
        }

    @property
    def input_size(self) -> str:
        """Input size of the GFLOPs as text: `3×96×96`; empty where the runs differ."""
        return "×".join(map(str, self.cost["input"] or ()))

    @property
    def recipes(self) -> int:
        """Number of different recipes of the runs; more than one only if a single key defines the groups."""
        return len(group(self.runs))


@dataclass(frozen=True)
class GroupPair:
    """Score differences of two groups.

    Attributes:
        first: Index of a group in `Comparison.groups`.
        second: Index of the baseline, or of a group with a lower score.
        difference: Score of the first group minus that of the second. The intervals of all pairs hold simultaneously.
        classes: Differences of the C classes; the intervals of all classes of all pairs hold simultaneously.
        seeds: Whether the intervals include the variance of training: both groups have at least two trials. Otherwise
            they apply to these trained models only.
    """

    first: int
    second: int
    difference: Estimate
    classes: tuple[Estimate, ...]
    seeds: bool


@dataclass(frozen=True)
class Comparison:
    """Groups of runs that are scored on the same images.

    Attributes:
        kind: Task whose predictions were scored.
        split: `val` or `test`.
        metric: Name of the score, such as `mIoU`.
        class_metric: Name of the score of a class, such as `IoU`.
        classes: C class names.
        images: N image names, sorted.
        groups: Groups, best score first.
        pairs: All pairs, all pairs with the best group, or all groups with the baseline.
        baseline: Index of the group that the others are compared with; None for pairs.
        resamples: Number of resamples of the images.
        notes: Messages to readers, on skipped runs, repeated seeds, and differences that `--force` ignores.
    """

    kind: ScoreKind
    split: str
    metric: str
    class_metric: str
    classes: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[Group, ...]
    pairs: tuple[GroupPair, ...]
    baseline: int | None
    resamples: int
    notes: tuple[str, ...]

    @property
    def absent(self) -> list[str]:
        """Classes without pixels (or samples) in the target."""
        return absent(self.groups[0].trials[0].counts[:, 1].sum(0), self.classes)

    @property
    def short_names(self) -> list[str]:
        """Names of the groups for sentences and heads of columns: their ranks, as `#2`, if labels are many and long."""
        labels = [group.label for group in self.groups]
        if len(labels) <= _SPELLED_GROUPS or max(map(len, labels)) <= _SPELLED_LENGTH:
            return labels
        return [f"#{rank}" for rank in range(1, len(labels) + 1)]

    @property
    def names(self) -> list[str]:
        """Labels of the groups, behind their ranks if these are their short names: `#2 lr 0.003, width 8`."""
        pairs = zip(self.short_names, (group.label for group in self.groups), strict=True)
        return [label if name == label else f"{name} {label}" for name, label in pairs]

    @property
    def inputs_differ(self) -> bool:
        """Return whether the GFLOPs of groups are for different input sizes, and therefore not comparable."""
        return any(group.cost["input"] != self.groups[0].cost["input"] for group in self.groups)

    @property
    def best(self) -> int:
        """Index of the group with the highest mean score."""
        return 0
