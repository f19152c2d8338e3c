"""Images whose scores differ most between the best group and another, with the predictions of both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from markupsafe import Markup

from lightseg.comparison.html.predictions import predict_again
from lightseg.comparison.html.sections import render_section
from lightseg.comparison.results import Comparison
from lightseg.errors import LightsegError
from lightseg.metrics.scores import METRICS, Floats
from lightseg.visualization.examples import describe_labels
from lightseg.visualization.figures import colorize

if TYPE_CHECKING:
    from lightseg.labels import Color
    from lightseg.tasks import Stage
    from lightseg.visualization.examples import Example

MAX_IMAGES = 8


class ScoredExample(NamedTuple):
    """Prediction of a run for an image, and the score of that image."""

    example: Example
    score: float


def disagreements(comparison: Comparison, trust: bool = False) -> Markup:
    """Render the images side by side, or the reason why that is impossible; empty for a single group.

    Args:
        comparison: Comparison of groups.
        trust: Run the classes of others that the runs name, see `lightseg.load`.
    """
    if len(comparison.groups) < 2:
        return Markup()
    groups = (comparison.best, opponent(comparison))
    images = largest(first_trial_scores(comparison, groups[0]) - first_trial_scores(comparison, groups[1]))
    if not images:
        return render_section("disagreements", comparison, reason="No image has another score.")
    try:
        pairs, palette = _predictions(comparison, groups, images, trust)
    # a file, a package or a class of the user may be missing; the rest of the page does not need it
    except Exception as error:
        return render_section("disagreements", comparison, reason=f"The images cannot be shown: {_describe(error)}")
    return render_section(
        "disagreements",
        comparison,
        reason="",
        groups=groups,
        pairs=pairs,
        palette=palette,
        masks=[mask for pair in pairs for example, _ in pair for mask in (example.target, example.prediction)],
        colorize=colorize,
        describe_labels=describe_labels,
    )


def opponent(comparison: Comparison) -> int:
    """Return the group that the best one is compared with: the baseline, or else the next best."""
    return comparison.baseline or 1


def first_trial_scores(comparison: Comparison, group: int) -> Floats:
    """Return the score of each image from the first trial of a group, float64 `(N,)`; NaN where undefined."""
    metric = next(metric for metric in METRICS[comparison.kind].values() if metric.name == comparison.metric)
    return metric(comparison.groups[group].trials[0].counts)[:, 0]


def largest(difference: Floats, number: int = MAX_IMAGES) -> list[int]:
    """Return the images with the largest differences, alternately positive and negative ones.

    Args:
        difference: Difference of the scores of each image, float64 `(N,)`; NaN where undefined.
        number: Maximum number of images.

    Returns:
        Their indices; of equal differences the first image comes first.
    """
    difference = np.nan_to_num(difference)
    order = np.argsort(-np.abs(difference), kind="stable")
    sides = [[int(image) for image in order if sign * difference[image] > 0] for sign in (1, -1)]
    return [image for pair in zip_longest(*sides) for image in pair if image is not None][:number]


def _predictions(
    comparison: Comparison, groups: tuple[int, int], images: Sequence[int], trust: bool
) -> tuple[list[tuple[ScoredExample, ...]], list[Color]]:
    """Predict each image with the first trial of each group; also return the colors of the classes."""
    columns: list[list[ScoredExample]] = []
    palette: list[Color] = []
    for group in groups:
        trial, scores = comparison.groups[group].trials[0], first_trial_scores(comparison, group)
        examples, palette = predict_again(trial, cast("Stage", comparison.split), comparison.images, images, trust)
        columns.append([ScoredExample(examples[image], float(scores[image])) for image in images])
    return list(zip(*columns, strict=True)), palette


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, LightsegError) else f"{type(error).__name__}: {text}"
