"""Sentences on the results of a comparison."""

import math
import statistics

from lightseg.comparison.analysis import ALL_PAIRS
from lightseg.comparison.results import LEVEL, Comparison, Estimate, Pair
from lightseg.metrics.absent_classes import RULE, describe_absent

_FEW = 20
"""Of fewer images that show a class, intervals held in 80 to 95 % of simulations; of as many, in 95 %."""


def verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence on the score of each pair: `B is better than A by 2.1 (95 % interval 0.8 to 3.3)`."""
    return [_verdict(comparison, pair) for pair in comparison.pairs]


def of_classes(comparison: Comparison) -> list[str]:
    """Return a sentence on the classes of each pair: which differ, by how much, and how likely by chance."""
    return [_of_classes(comparison, pair) for pair in comparison.pairs]


def reading(comparison: Comparison) -> list[str]:
    """Return what the numbers are, and what the intervals do and do not say."""
    thing = "images" if len(comparison.images) != 1 else "image"
    lines = [
        f"{comparison.metric} in % on {comparison.split}, {len(comparison.images):,} {thing}; 95 % intervals from "
        f"{comparison.resamples:,} resamples of the images, the same for all runs."
    ]
    pairs, classes = len(comparison.pairs), len(comparison.classes)
    if comparison.baseline is None and len(comparison.groups) > ALL_PAIRS:
        every = len(comparison.groups) * (len(comparison.groups) - 1) // 2
        lines.append(
            f"Of {every} pairs those with the best are told; since it was chosen by its score, their intervals hold "
            f"for all {every:,} together, and the p of classes for all {every * classes:,} differences of a class."
        )
    elif pairs > 1:
        lines.append(
            f"The intervals of the {pairs} differences hold together; the p of classes for all {pairs * classes:,} "
            "differences of a class."
        )
    elif pairs:
        lines.append(f"The p of classes hold for all {classes} of them together.")
    lines += _folds(comparison)
    if comparison.absent:
        lines.append(f"{RULE} ({', '.join(comparison.absent)}).")
    return [*lines, *_rare(comparison), *_about_seeds(comparison)]


def percent(value: float, digits: int = 1, sign: bool = False) -> str:
    """Return a share as a number in percent: `97.2`; `absent` where it is undefined."""
    if math.isnan(value):
        return "absent"
    text = f"{100 * value:{'+' if sign else ''}.{digits}f}"
    # a nought has no sign
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def class_percent(comparison: Comparison, index: int, score: float) -> str:
    """Return the score of a class in percent; where no image shows the class, that it is absent.

    Args:
        comparison: What it belongs to.
        index: The class.
        score: A share.
    """
    return describe_absent(score) if comparison.classes[index] in comparison.absent else percent(score)


def interval(estimate: Estimate, factor: float = 1) -> str:
    """Return an interval in percent: `0.8 to 3.3`.

    Args:
        estimate: What it belongs to.
        factor: -1 for that of the opposite difference.
    """
    if math.isnan(estimate.low):
        return "unknown"
    low, high = sorted((factor * estimate.low, factor * estimate.high))
    return f"{percent(low, _digits(estimate))} to {percent(high, _digits(estimate))}"


def chance(p: float) -> str:
    """Return how often chance gives as much: `p = 0.012`."""
    # what is below the level reads so
    digits = next(digits for digits in range(2, 17) if (round(p, digits) < LEVEL) == (p < LEVEL))
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.01 else f"p = {p:.{digits}f}"


def _verdict(comparison: Comparison, pair: Pair) -> str:
    first, second = (comparison.groups[index].label for index in (pair.first, pair.second))
    difference = pair.difference
    digits = _digits(difference)
    if not difference.shown:
        size = f"{percent(difference.value, digits)} (95 % interval {interval(difference)})"
        return f"no difference shown between {first} and {second}: {size}"
    better = difference.value > 0
    size = f"{percent(abs(difference.value), digits)} (95 % interval {interval(difference, 1 if better else -1)})"
    return f"{first} is {'better' if better else 'worse'} than {second} by {size}"


def _of_classes(comparison: Comparison, pair: Pair) -> str:
    differences = sorted(
        (each.p, name, each) for name, each in zip(comparison.classes, pair.classes, strict=True) if each.shown
    )
    if not differences:
        return "no class shows a difference"
    return ", ".join(
        f"{name} {percent(each.value, _digits(each), sign=True)} ({chance(p)})" for p, name, each in differences
    )


def _folds(comparison: Comparison) -> list[str]:
    """Return what the score of a cross-validation is, and the mean over its folds, which papers give."""
    groups = [group for group in comparison.groups if len(group.folds) > 1]
    if not groups:
        return []
    fold_scores = ", ".join(
        f"{group.label} {percent(statistics.fmean(group.folds))} ± {percent(statistics.stdev(group.folds))} "
        f"({len(group.folds)} folds)"
        for group in groups
    )
    return [
        "The score of a cross-validation is that of all its folds' counts together; mean ± standard deviation of the "
        f"folds' own scores: {fold_scores}."
    ]


def _rare(comparison: Comparison) -> list[str]:
    """Return the classes that so few images show that no method knows how far chance moves their scores."""
    images = (comparison.groups[0].trials[0].counts[:, 1] > 0).sum(0)
    rare = [name for name, number in zip(comparison.classes, images, strict=True) if 0 < number < _FEW]
    # the spread of samples that are right or wrong follows from their number
    if comparison.kind == "classification" or not rare:
        return []
    return [
        f"Fewer than {_FEW} images show {', '.join(rare)}: too few to know what others would do; the intervals of "
        "such a class, and of a mean over classes that it is in, may hold in fewer than 95 of 100 cases."
    ]


def _about_seeds(comparison: Comparison) -> list[str]:
    """Return whether the intervals are about these trained models or about the recipes."""
    pairs = comparison.pairs
    if not pairs:
        return []
    mixed = any(group.recipes > 1 for group in comparison.groups)
    if mixed and all(pair.seeds for pair in pairs):
        return ["What the runs of a group differ by, recipes and seeds alike, is in the intervals of the differences."]
    if all(pair.seeds for pair in pairs):
        return [
            "The chance of training is in the intervals of the differences: other seeds, other images.",
            *_few(comparison),
        ]
    which = "Where a group has one run, the intervals are" if any(pair.seeds for pair in pairs) else "The intervals are"
    return [
        f"{which} for these trained models; other seeds are not in the interval. Several seeds: --seeds 0,1,2 on fit."
    ]


def _few(comparison: Comparison) -> list[str]:
    if not any(len(group.trials) == 2 for group in comparison.groups):
        return []
    return ["Two seeds hardly show what chance does in training, and the intervals are wide for it: three or more do."]


def _digits(estimate: Estimate) -> int:
    """Decimals of a percentage: more where the interval is narrow."""
    half = 100 * (estimate.high - estimate.low) / 2
    return 2 if 0 < half < 0.1 else 1
