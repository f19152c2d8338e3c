"""Results of a comparison: everything that the table, the files and the page show.

Scores are shares, from 0 to 1, and NaN where undefined, as for a class that is absent. What is printed is in percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightseg.comparison.groups import group
from lightseg.metrics.absent_classes import absent
from lightseg.runs.read import Run

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""A difference is called one where chance alone would show as large a one less often than this."""


@dataclass(frozen=True)
class Estimate:
    """Score, or a difference of two, and how far chance may have moved it.

    Attributes:
        value: What was measured; NaN if undefined.
        low: Lower end of the 95 % interval; NaN where nothing can be said, as of a class that only one image shows.
        high: Its upper end.
        p: How often chance alone would give a difference as large as this; below 0.05 exactly where the interval leaves
            out 0; NaN of a score, which is compared with nothing.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def shown(self) -> bool:
        """Return whether a difference is more than chance explains."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Trial:
    """Training of a group as it was scored: a run, or the folds of one seed, whose `val` splits are taken together.

    Attributes:
        runs: One run, or one of each fold, in the order of the folds.
        counts: Pixels right, true and predicted of each image and class, int64 `(N, 3, C)`, the images being in the
            order of `Comparison.images`. A classification is an image of one pixel.
        score: The score on all images.
        classes: The score of each class, float64 `(C,)`.
    """

    runs: tuple[Run, ...]
    counts: npt.NDArray[np.int64]
    score: float
    classes: Floats

    @property
    def seed(self) -> int:
        """Seed of its runs."""
        return self.runs[0].seed


@dataclass(frozen=True)
class Group:
    """Trials of one recipe, which differ by their seeds alone, or of all recipes in which one key has one value.

    Attributes:
        label: Short name, unique in the comparison.
        differs: What differs between the groups, as this one has it: short key to value as text; `–` where it has none.
        trials: What was trained; at least one.
        score: Mean score of the trials, with an interval of its own, not shared with other groups.
        deviation: Sample standard deviation of the trials' scores; NaN of a single one.
        classes: The same as `score` for each of the C classes.
        images_per_s: Median training throughput of its runs; NaN if none was logged.
        seconds: Mean training time of a run.
        folds: Score of each fold of a cross-validation by itself; empty without one.
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
        """All of its runs."""
        return [run for trial in self.trials for run in trial.runs]

    @property
    def cost(self) -> dict[str, Any]:
        """`parameters` and `gflops` of its net, and `input`, the `[C, H, W]` of these; None where its runs differ."""
        costs = [run.cost for run in self.runs]
        return {
            name: costs[0].get(name) if all(cost.get(name) == costs[0].get(name) for cost in costs) else None
            for name in ("parameters", "gflops", "input")
        }

    @property
    def input_size(self) -> str:
        """Return what GFLOPs are of one of, as text: `3×96×96`; empty where its runs differ."""
        return "×".join(map(str, self.cost["input"] or ()))

    @property
    def recipes(self) -> int:
        """Different recipes among its runs; more than one only where a single key has made the groups."""
        return len(group(self.runs))


@dataclass(frozen=True)
class Pair:
    """Two groups and what their scores differ by.

    Attributes:
        first: Index of a group in `Comparison.groups`.
        second: Index of the one it is compared with: the baseline, or one that scored lower.
        difference: Score of the first less that of the second. The intervals of all pairs hold together.
        classes: The same for each of the C classes; the intervals of all classes of all pairs hold together.
        seeds: Whether the chance of training is in the intervals: both groups have at least two trials. Otherwise they
            are about these trained models, and which images they meet.
    """

    first: int
    second: int
    difference: Estimate
    classes: tuple[Estimate, ...]
    seeds: bool


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, scored on the same images.

    Attributes:
        kind: What was scored.
        split: `val` or `test`.
        metric: Name of the score, such as `mIoU`.
        class_metric: Name of the score of a class, such as `IoU`.
        classes: The C class names.
        images: The N image names, sorted.
        groups: The groups, best score first.
        pairs: What was compared: all pairs, or all groups with the baseline.
        baseline: Index of the group that the others are compared with; None where all pairs are.
        resamples: How often the images were drawn anew.
        notes: What a reader must know besides: runs left out, seeds that occur twice, what `--force` passed over.
    """

    kind: Literal["segmentation", "classification"]
    split: str
    metric: str
    class_metric: str
    classes: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    baseline: int | None
    resamples: int
    notes: tuple[str, ...]

    @property
    def absent(self) -> list[str]:
        """Return the classes that no image shows in truth."""
        return absent(self.groups[0].trials[0].counts[:, 1].sum(0), self.classes)

    @property
    def inputs_differ(self) -> bool:
        """Return whether GFLOPs are of images of different sizes, and so do not compare."""
        return any(group.cost["input"] != self.groups[0].cost["input"] for group in self.groups)

    @property
    def best(self) -> int:
        """Index of the group with the highest mean score."""
        return 0
