"""Verdicts and explanations of a comparison as text."""

import math
import statistics

from lightseg.comparison.analysis import ALL_PAIRS
from lightseg.comparison.groups import NONE
from lightseg.comparison.results import Comparison, Estimate, Group, GroupPair
from lightseg.files.printable import format_count
from lightseg.metrics.formatting import format_p_value, percent

_FEW = 20
"""Number of images with a class from which on intervals hold in 95 % of simulations; with fewer, in 80 to 95 %."""

_IN_MEAN = "A mean leaves out such a class where it was never predicted, and counts it as 0 where it was."

_LISTED = 3
"""Limit of the groups that predict an absent class and are named."""


def verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence on the score of each pair: `B is better than A by 2.1 (95 % interval 0.8 to 3.3)`."""
    return [_verdict(comparison, pair) for pair in comparison.pairs]


def class_verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence on the classes of each pair: significant differences and their p-values."""
    return [_class_verdict(comparison, pair) for pair in comparison.pairs]


def reading(comparison: Comparison) -> list[str]:
    """Return sentences that explain the numbers and the scope of the intervals."""
    images = format_count(len(comparison.images), "image")
    lines = [
        f"{comparison.metric} in % on {comparison.split}, {images}; 95 % intervals from "
        f"{comparison.resamples:,} resamples of the images, the same for all runs."
    ]
    pairs, classes = len(comparison.pairs), len(comparison.classes)
    if comparison.baseline is None and len(comparison.groups) > ALL_PAIRS:
        every = len(comparison.groups) * (len(comparison.groups) - 1) // 2
        lines.append(
            f"Of {every} pairs, those with the best are reported; since it was selected by its score, their intervals "
            f"hold for all {every:,} together, and the p of classes for all {every * classes:,} differences of a class."
        )
    elif pairs > 1:
        lines.append(
            f"The intervals of the {pairs} differences hold together; the p of classes for all {pairs * classes:,} "
            "differences of a class."
        )
    elif pairs:
        lines.append(f"The p of classes hold for all {classes} of them together.")
    if any(len(group.folds) > 1 for group in comparison.groups):
        lines.append("The score of a cross-validation is that of all its folds' counts together.")
    return [*lines, *describe_absences(comparison), *_rare(comparison), *_about_seeds(comparison)]


def describe_absences(comparison: Comparison) -> list[str]:
    """Return a sentence on the classes that the truth lacks, and on the groups that predict them."""
    texts = []
    for name in comparison.absent:
        index = comparison.classes.index(name)
        predicting = [
            name
            for name, group in zip(comparison.short_names, comparison.groups, strict=True)
            if not math.isnan(group.classes[index].value)
        ]
        texts.append(f"{name}, {f'predicted by {_join(predicting)}' if predicting else 'never predicted'}")
    return [f"Absent from the truth: {'; '.join(texts)}. {_IN_MEAN}"] if texts else []


def labels_have_options(comparison: Comparison) -> bool:
    """Return whether the labels include every option that differs between the groups."""
    return all(text in group.label for group in comparison.groups for text in list_options(group))


def list_options(group: Group) -> list[str]:
    """Return the options of a group that differ between the groups as texts: `lr 0.003`, `ensemble of 3`."""
    # a run beside an ensemble lacks nothing
    return [f"{key} {value}" for key, value in group.differs.items() if (key, value) != ("ensemble", NONE)]


def fold_scores(group: Group) -> str:
    """Return the scores of the folds of a group as text: `93.1 ± 1.2`, mean and sample standard deviation."""
    return f"{percent(statistics.fmean(group.folds))} ± {percent(statistics.stdev(group.folds))}"


def fold_spread(group: Group) -> str:
    """Return the lowest and the highest score of the folds of a group as text: `91.0 to 94.5`."""
    return f"{percent(min(group.folds))} to {percent(max(group.folds))}"


def interval(estimate: Estimate, factor: float = 1) -> str:
    """Return an interval in percent: `0.8 to 3.3`.

    Args:
        estimate: Estimate.
        factor: 1, or -1 for the interval of the opposite difference.
    """
    if math.isnan(estimate.low):
        return "unknown"
    low, high = sorted((factor * estimate.low, factor * estimate.high))
    return f"{percent(low, _digits(estimate))} to {percent(high, _digits(estimate))}"


def _verdict(comparison: Comparison, pair: GroupPair) -> str:
    first, second = (comparison.short_names[index] for index in (pair.first, pair.second))
    difference = pair.difference
    digits = _digits(difference)
    if not difference.shown:
        size = f"{percent(difference.value, digits)} (95 % interval {interval(difference)})"
        return f"no difference shown between {first} and {second}: {size}{_describe_limit(comparison, pair)}"
    is_better = difference.value > 0
    size = f"{percent(abs(difference.value), digits)} (95 % interval {interval(difference, 1 if is_better else -1)})"
    return f"{first} is {'better' if is_better else 'worse'} than {second} by {size}"


def _describe_limit(comparison: Comparison, pair: GroupPair) -> str:
    """Return the end of a verdict on a difference that is not shown: the smallest one that could have been.

    Returns:
        A text such as `; 6 images and 2 seeds: differences below 31.0 cannot be shown`; empty if the groups are equal.
    """
    difference = pair.difference
    basis = format_count(len(comparison.images), "image")
    if pair.seeds:
        numbers = sorted({len(comparison.groups[index].trials) for index in (pair.first, pair.second)})
        basis += f" and {' or '.join(map(str, numbers))} seeds"
    if math.isnan(difference.low):
        return "" if math.isnan(difference.value) else f"; {basis}: too few for an interval"
    # an end beyond the possible differences was clipped
    limit = max(difference.value - difference.low, difference.high - difference.value)
    if limit >= 1:
        return f"; {basis}: too few to show any difference"
    return f"; {basis}: differences below {percent(limit, _digits(difference))} cannot be shown" if limit else ""


def _join(labels: list[str]) -> str:
    """Return labels as a list; of many only the number."""
    return ", ".join(labels) if len(labels) <= _LISTED else f"{len(labels)} groups"


def _class_verdict(comparison: Comparison, pair: GroupPair) -> str:
    estimates = dict(zip(comparison.classes, pair.classes, strict=True))
    names = sorted((name for name in estimates if estimates[name].shown), key=lambda name: (estimates[name].p, name))
    texts = [f"{name} {_signed_percent(estimates[name])} ({format_p_value(estimates[name].p)})" for name in names]
    return ", ".join(texts) or "no class shows a difference"


def _signed_percent(estimate: Estimate) -> str:
    return percent(estimate.value, _digits(estimate), sign=True)


def _rare(comparison: Comparison) -> list[str]:
    """Warn of classes in so few images that their intervals are unreliable."""
    images = (comparison.groups[0].trials[0].counts[:, 1] > 0).sum(0)
    rare = [name for name, number in zip(comparison.classes, images, strict=True) if 0 < number < _FEW]
    # the variance of a proportion of samples follows from their number
    if comparison.kind == "classification" or not rare:
        return []
    return [
        f"Fewer than {_FEW} images show {', '.join(rare)}: too few for a reliable interval; the intervals of "
        "such a class, and of a mean over classes that it is in, may hold in fewer than 95 of 100 cases."
    ]


def _about_seeds(comparison: Comparison) -> list[str]:
    """Explain whether the intervals apply to these trained models or to the recipes."""
    pairs = comparison.pairs
    if not pairs:
        return []
    has_recipes = any(group.recipes > 1 for group in comparison.groups)
    if has_recipes and all(pair.seeds for pair in pairs):
        return [
            "The intervals of the differences include the variance within groups, between recipes and between seeds."
        ]
    if all(pair.seeds for pair in pairs):
        return [
            "The intervals of the differences include the variance of training: over seeds and over images.",
            *_note_two_seeds(comparison),
        ]
    subject = (
        "Where a group has one run, the intervals are" if any(pair.seeds for pair in pairs) else "The intervals are"
    )
    return [
        f"{subject} for these trained models; the variance between seeds is unknown. For several seeds: fit --seeds "
        "0,1,2."
    ]


def _note_two_seeds(comparison: Comparison) -> list[str]:
    if not any(len(group.trials) == 2 for group in comparison.groups):
        return []
    return ["Two seeds hardly determine the variance of training, so that the intervals are wide; use three or more."]


def _digits(estimate: Estimate) -> int:
    """Return the decimals of a percentage: two if the interval is narrow, else one."""
    half = 100 * (estimate.high - estimate.low) / 2
    return 2 if 0 < half < 0.1 else 1
