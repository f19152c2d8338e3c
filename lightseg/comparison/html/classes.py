"""Scores of each class, groups side by side, and the differences that are shown."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from lightseg.comparison.html.groups import clip_percent, group_names
from lightseg.comparison.results import Comparison
from lightseg.comparison.text import chance, class_percent, interval, percent
from lightseg.visualization.html import render

_MAX_DIFFERENCES = 3
"""Of further differences of a class only the number is given."""


def classes(comparison: Comparison) -> Markup:
    """Render one row for each class: bars with intervals, the numbers, and the differences that are shown."""
    return render(
        "comparison/html/classes.html",
        metric=comparison.class_metric,
        groups=group_names(comparison),
        has_pairs=bool(comparison.pairs),
        max_differences=_MAX_DIFFERENCES,
        rows=[_row(comparison, index) for index in range(len(comparison.classes))],
    )


def _row(comparison: Comparison, index: int) -> dict[str, Any]:
    scores = [group.classes[index] for group in comparison.groups]
    return {
        "class_name": comparison.classes[index],
        "bars": _bars(comparison, index),
        "scores": [(class_percent(comparison, index, score.value), interval(score)) for score in scores],
        "differences": _differences(comparison, index),
    }


def _bars(comparison: Comparison, index: int) -> list[dict[str, Any]]:
    """Return the bars of a class and the whiskers over their intervals, in percent; none for an absent class."""
    if comparison.classes[index] in comparison.absent:
        return []
    bars = []
    for position, group in enumerate(comparison.groups):
        score = group.classes[index]
        if not math.isnan(score.value):
            tip = f"{comparison.classes[index]}, {group.label}: {percent(score.value)}\n95 % interval {interval(score)}"
            whisker = None if math.isnan(score.low) else [clip_percent(end) for end in (score.low, score.high)]
            bars.append({"group": position, "tip": tip, "width": 100 * score.value, "whisker": whisker})
    return bars


def _differences(comparison: Comparison, index: int) -> list[dict[str, Any]]:
    """Return the differences of a class that are shown, as the advantage of the better group."""
    names = group_names(comparison)
    differences = []
    for pair in comparison.pairs:
        difference = pair.classes[index]
        if difference.shown:
            is_first = difference.value > 0
            better, worse = (pair.first, pair.second) if is_first else (pair.second, pair.first)
            differences.append(
                {
                    "better": names[better],
                    # with two groups it is clear which one is worse
                    "worse": names[worse] if len(names) > 2 else None,
                    "size": percent(abs(difference.value)),
                    "interval": interval(difference, 1 if is_first else -1),
                    "chance": chance(difference.p),
                }
            )
    return differences
