"""First section: the verdicts in words, and the groups by score."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from markupsafe import Markup

from lightseg.comparison.html.groups import clip_percent, format_number, group_names
from lightseg.comparison.results import Comparison, Estimate
from lightseg.comparison.text import interval, percent, reading, verdicts
from lightseg.visualization.html import render

_MAX_VERDICTS = 4
"""Further verdicts are folded."""

_MAX_KEYS = 4
"""Further keys of the config are only among the details."""


class _Number(NamedTuple):
    """Cell that is sorted by its value.

    Attributes:
        value: NaN sorts last.
        text: Formatted value; empty where there is none.
    """

    value: float
    text: str


def ranking(comparison: Comparison) -> Markup:
    """Render the verdicts, the ranking table, and notes on reading it."""
    reference = comparison.best if comparison.baseline is None else comparison.baseline
    ends = _score_range(comparison)
    return render(
        "comparison/html/ranking.html",
        verdicts=verdicts(comparison),
        max_verdicts=_MAX_VERDICTS,
        metric=comparison.metric,
        ends=[percent(end) for end in ends],
        reference=comparison.groups[reference].label,
        keys=list(comparison.groups[0].differs)[:_MAX_KEYS],
        inputs_differ=comparison.inputs_differ,
        rows=[_row(comparison, index, reference, ends) for index in range(len(comparison.groups))],
        reading=" ".join(reading(comparison)),
        notes=comparison.notes,
    )


def _row(comparison: Comparison, index: int, reference: int, ends: tuple[float, float]) -> dict[str, Any]:
    group = comparison.groups[index]
    parameters, gflops = (math.nan if (cost := group.cost[kind]) is None else cost for kind in ("parameters", "gflops"))
    return {
        "group": group_names(comparison)[index],
        "is_best": index == comparison.best and len(comparison.groups) > 1,
        "trials": len(group.trials),
        "score": _Number(group.score.value, percent(group.score.value)),
        "deviation": "" if math.isnan(group.deviation) else percent(group.deviation),
        "interval": _interval(group.score, *ends),
        "difference": _difference(comparison, index, reference),
        "differs": list(group.differs.values())[:_MAX_KEYS],
        "costs": [_Number(parameters, _format_count(parameters)), _Number(gflops, format_number(gflops))],
        "input_size": group.input_size or "–",
        "speeds": [_Number(value, format_number(value)) for value in (group.images_per_s, group.seconds / 60)],
    }


def _format_count(count: float) -> str:
    """Format a number of parameters as in papers: `1.9 M`."""
    if count >= 1_000_000:
        return f"{format_number(count / 1_000_000)} M"
    return f"{format_number(count / 1000)} k" if count >= 1000 else format_number(count, 1)


def _difference(comparison: Comparison, index: int, reference: int) -> dict[str, Any]:
    """Return the difference to the reference group; an empty cell if the two were not compared."""
    for pair in comparison.pairs:
        if {pair.first, pair.second} == {index, reference}:
            sign, difference = 1 if pair.first == index else -1, pair.difference
            value = sign * difference.value
            text = percent(value, sign=True)
            cell = _Number(value, text)
            return {"cell": cell, "is_shown": difference.shown, "interval": interval(difference, sign)}
    return {"cell": _Number(math.nan, ""), "is_shown": False, "interval": ""}


def _score_range(comparison: Comparison) -> tuple[float, float]:
    """Return a range of scores that contains all intervals, with a margin."""
    scores = [group.score for group in comparison.groups]
    ends = [end for score in scores for end in (score.low, score.value, score.high) if not math.isnan(end)]
    if not ends:
        return 0.0, 1.0
    margin = 0.05 * (max(ends) - min(ends))
    return max(0.0, min(ends) - margin), min(1.0, max(ends) + margin)


def _interval(score: Estimate, low: float, high: float) -> dict[str, Any] | None:
    """Return the positions of a score and its interval between two scores, in percent; None where undefined."""
    if math.isnan(score.value):
        return None
    keys = ("value",) if math.isnan(score.low) else ("value", "low", "high")
    positions = {key: clip_percent((getattr(score, key) - low) / ((high - low) or 1)) for key in keys}
    return {"label": f"{percent(score.value)}; 95 % interval {interval(score)}", **positions}
