"""Images whose scores differ most between the best group and another, with what each of the two said."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from lightseg.comparison.html.markup import name
from lightseg.comparison.html.predictions import predict_again
from lightseg.comparison.results import Comparison
from lightseg.comparison.text import percent
from lightseg.errors import LightsegError
from lightseg.metrics.scores import METRICS, Floats
from lightseg.visualization.html.images import colors, picture
from lightseg.visualization.html.markup import escape

if TYPE_CHECKING:
    from lightseg.tasks import Stage
    from lightseg.visualization.examples import Color, Example

IMAGES = 8
"""So many images are shown."""


class Said(NamedTuple):
    """Prediction of a run for an image, and its score."""

    example: Example
    score: float


def disagreements(comparison: Comparison, trust: bool = False) -> str:
    """Return the images side by side; a sentence where they cannot be shown.

    Args:
        comparison: What to show.
        trust: Run the classes of others that the runs name, see `lightseg.load`.
    """
    if len(comparison.groups) < 2:
        return ""
    groups = (comparison.best, opponent(comparison))
    chosen = largest(image_scores(comparison, groups[0]) - image_scores(comparison, groups[1]))
    if not chosen:
        return '<p class="missing">No image has another score.</p>'
    try:
        predictions, palette = _predictions(comparison, groups, chosen, trust)
    # whatever went: a file, a package, a class of the user's own; the rest of the page does not need it
    except Exception as error:
        return f'<p class="missing">The images cannot be shown: {escape(_reason(error))}</p>'
    masks = [mask for each in predictions for example, _ in each for mask in (example.target, example.prediction)]
    figures = "".join(_figure(comparison, groups, each, palette) for each in predictions)
    # what a whole image shows has no colour
    legend = colors(comparison.classes, palette, masks) if masks[0].ndim else ""
    return f'{_hint(comparison, groups)}{legend}<div class="examples">{figures}</div>'


def opponent(comparison: Comparison) -> int:
    """Return the group that the best one is compared with here: the baseline, or else the next best."""
    return comparison.baseline or 1


def image_scores(comparison: Comparison, group: int) -> Floats:
    """Return the score of each image by itself from the first trial of a group, float64 `(N,)`; NaN where undefined."""
    metric = next(each for each in METRICS[comparison.kind].values() if each.name == comparison.metric)
    return metric(comparison.groups[group].trials[0].counts)[:, 0]


def largest(difference: Floats, number: int = IMAGES) -> list[int]:
    """Return the images with the largest differences, alternately to the good of the one and of the other.

    Args:
        difference: Score of each image less what it has elsewhere, float64 `(N,)`; NaN where undefined.
        number: How many at most.

    Returns:
        Their indices; of equal differences the first image comes first.
    """
    difference = np.nan_to_num(difference)
    order = np.argsort(-np.abs(difference), kind="stable")
    sides = [[int(image) for image in order if sign * difference[image] > 0] for sign in (1, -1)]
    return [image for pair in zip_longest(*sides) for image in pair if image is not None][:number]


def _predictions(
    comparison: Comparison, groups: tuple[int, int], images: Sequence[int], trust: bool
) -> tuple[list[tuple[Said, ...]], list[Color]]:
    """Return what the first trial of each group says about each image, and the colours of the classes."""
    columns: list[list[Said]] = []
    palette: list[Color] = []
    for group in groups:
        trial, scores = comparison.groups[group].trials[0], image_scores(comparison, group)
        examples, palette = predict_again(trial, cast("Stage", comparison.split), comparison.images, images, trust)
        columns.append([Said(examples[image], float(scores[image])) for image in images])
    return list(zip(*columns, strict=True)), palette


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, LightsegError) else f"{type(error).__name__}: {text}"


def _hint(comparison: Comparison, groups: tuple[int, int]) -> str:
    first, second = (name(comparison, group) for group in groups)
    return (
        f'<p class="hint">The first run of {first} against the first of {second}: alternately an image on which the one'
        f" has the higher {escape(comparison.metric)} and one on which the other has it, as long as there is one, the "
        f"largest differences first. Numbers are the {escape(comparison.metric)} on that image alone, in %.</p>"
    )


def _figure(
    comparison: Comparison, groups: tuple[int, int], predictions: Sequence[Said], palette: Sequence[Color]
) -> str:
    example, difference = predictions[0].example, predictions[0].score - predictions[1].score
    better = groups[0 if difference > 0 else 1]
    image = escape(example.name)
    parts = [picture(example.image, "image", f"image {image}", photo=True)]
    if example.target.ndim:
        from lightseg.visualization.figures import colorize

        parts.append(picture(colorize(example.target, palette), "truth", f"truth of {image}"))
        parts += [
            picture(
                colorize(each.example.prediction, palette),
                f"{name(comparison, group)} <b>{percent(each.score)}</b>",
                f"prediction of {escape(comparison.groups[group].label)} for {image}",
            )
            for group, each in zip(groups, predictions, strict=True)
        ]
    else:
        parts.append(_words(comparison, groups, predictions))
    ahead = f"{name(comparison, better)} is better by <b>{percent(abs(difference))}</b>"
    return (
        f'<figure class="example"><figcaption><h3>{image}</h3> <span>{ahead}</span></figcaption>'
        f'<div class="pictures">{"".join(parts)}</div></figure>'
    )


def _words(comparison: Comparison, groups: tuple[int, int], predictions: Sequence[Said]) -> str:
    """Return what a whole image shows and what each group said."""
    truth = int(predictions[0].example.target)
    rows = [("truth", escape(comparison.classes[truth]))]
    for group, each in zip(groups, predictions, strict=True):
        answer = int(each.example.prediction)
        mark = "✓" if answer == truth else "✗"
        rows.append((name(comparison, group), f"{escape(comparison.classes[answer])} {mark}"))
    return f"<dl>{''.join(f'<dt>{term}</dt><dd>{value}</dd>' for term, value in rows)}</dl>"
