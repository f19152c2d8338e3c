"""First section of the page: the verdicts in words, and the groups in the order of their scores."""

from __future__ import annotations

import math

from lightseg.comparison.html.markup import name, number, scale
from lightseg.comparison.results import Comparison, Estimate, Group
from lightseg.comparison.text import interval, percent, reading, verdicts
from lightseg.visualization.html.markup import escape, table

_SENTENCES = 4
_KEYS = 4
"""So many are shown at once; the rest is folded, or among the details."""


def ranking(comparison: Comparison) -> str:
    """Return the verdicts, the ranking table, and what to know when reading it."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    return f'{_verdicts(comparison)}{_table(comparison)}<p class="hint">{escape(" ".join(reading(comparison)))}</p>' + (
        f'<ul class="notes">{notes}</ul>' if notes else ""
    )


def _verdicts(comparison: Comparison) -> str:
    sentences = [f"<p>{escape(sentence)}</p>" for sentence in verdicts(comparison)]
    if not sentences:
        return ""
    first, more = "".join(sentences[:_SENTENCES]), sentences[_SENTENCES:]
    folded = f"<details><summary>{len(more)} more</summary>{''.join(more)}</details>" if more else ""
    return f'<div class="verdicts">{first}{folded}</div>'


def _table(comparison: Comparison) -> str:
    reference = comparison.best if comparison.baseline is None else comparison.baseline
    low, high = _range(comparison)
    head = [
        _head("Group"),
        _head("n", "number"),
        _head(f"{comparison.metric}, % ± sd", "number", ' aria-sort="descending"'),
        scale("95 % interval", percent(low), percent(high)),
        _head(f"Against {comparison.groups[reference].label}", "number"),
        *[_head(key) for key in list(comparison.groups[0].differs)[:_KEYS]],
        *[_head(title, "number") for title in ("Parameters", "GFLOPs")],
        *[_head("Input")] * comparison.inputs_differ,
        *[_head(title, "number") for title in ("Images/s", "Minutes")],
    ]
    rows = [_row(comparison, index, reference, low, high) for index in range(len(comparison.groups))]
    return table("Groups by score; a press on the name of a column sorts by it", head, rows, "ranking")


def _row(comparison: Comparison, index: int, reference: int, low: float, high: float) -> list[str]:
    group = comparison.groups[index]
    best = ' <span class="badge">best</span>' if index == comparison.best and len(comparison.groups) > 1 else ""
    parameters, gflops = (math.nan if (cost := group.cost[kind]) is None else cost for kind in ("parameters", "gflops"))
    return [
        f'<th scope="row">{name(comparison, index)}{best}</th>',
        _number(len(group.trials), str(len(group.trials))),
        _number(group.score.value, f"<b>{percent(group.score.value)}</b>{_deviation(group)}"),
        f"<td>{_drawn(group.score, index, low, high)}</td>",
        _against(comparison, index, reference),
        *[f"<td>{escape(value)}</td>" for value in list(group.differs.values())[:_KEYS]],
        _number(parameters, _short(parameters)),
        _number(gflops, number(gflops)),
        *[f"<td>{group.input_size or '–'}</td>"] * comparison.inputs_differ,
        _number(group.images_per_s, number(group.images_per_s)),
        _number(group.seconds / 60, number(group.seconds / 60)),
    ]


def _head(title: str, kind: str = "", order: str = "") -> str:
    return f'<th scope="col" class="{kind}"{order}><button type="button">{escape(title)}</button></th>'


def _number(value: float, text: str) -> str:
    return f'<td class="number" data-value="{value}">{text}</td>'


def _deviation(group: Group) -> str:
    return "" if math.isnan(group.deviation) else f" <small>± {percent(group.deviation)}</small>"


def _short(count: float) -> str:
    """Return a count of parameters as papers have it: `1.9 M`."""
    if count >= 1_000_000:
        return f"{number(count / 1_000_000)} M"
    return f"{number(count / 1000)} k" if count >= 1000 else number(count, 1)


def _against(comparison: Comparison, index: int, reference: int) -> str:
    """Return the difference to the group of reference, if the two were compared."""
    for pair in comparison.pairs:
        if {pair.first, pair.second} == {index, reference}:
            sign, difference = 1 if pair.first == index else -1, pair.difference
            value = percent(sign * difference.value, sign=True)
            text = f"<b>{value}</b>" if difference.shown else f"{value}, not shown"
            return _number(sign * difference.value, f"{text}<br><small>{interval(difference, sign)}</small>")
    return _number(math.nan, "")


def _range(comparison: Comparison) -> tuple[float, float]:
    """Return the scores that all intervals lie between, with a little room."""
    estimates = [group.score for group in comparison.groups]
    ends = [end for each in estimates for end in (each.low, each.value, each.high) if not math.isnan(end)]
    room = 0.05 * (max(ends) - min(ends)) if ends else 0.0
    return (max(0.0, min(ends) - room), min(1.0, max(ends) + room)) if ends else (0.0, 1.0)


def _drawn(score: Estimate, index: int, low: float, high: float) -> str:
    """Return a score and its interval on the axis that the column shares."""
    if math.isnan(score.value):
        return ""

    def at(value: float) -> float:
        return 100 * min(1.0, max(0.0, (value - low) / ((high - low) or 1)))

    line = "" if math.isnan(score.low) else f'<path class="line" d="M{at(score.low):.1f} 8H{at(score.high):.1f}"/>'
    words = f"{percent(score.value)}; 95 % interval {interval(score)}"
    return (
        f'<svg class="interval g{index}" viewBox="0 0 100 16" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}">{line}<path class="dot" d="M{at(score.value):.1f} 8h.01"/></svg>'
    )
