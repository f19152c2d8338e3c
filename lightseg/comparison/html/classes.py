"""Score of each class, groups side by side, and where a difference is shown."""

from __future__ import annotations

import math

from lightseg.comparison.html.markup import legend, name, scale
from lightseg.comparison.results import Comparison, Estimate
from lightseg.comparison.text import chance, class_percent, interval, percent
from lightseg.visualization.html.markup import escape, table

_BAR = 9
_PAIRS = 3
"""So many differences of a class are told; of more, how many there are."""


def classes(comparison: Comparison) -> str:
    """Return one row for each class: bars with intervals, the numbers, and the differences that are shown."""
    groups = range(len(comparison.groups))
    head = [
        '<th scope="col">Class</th>',
        scale(f"{comparison.class_metric}, %", "0", "100"),
        *[f'<th scope="col" class="number of{index}">{name(comparison, index)}</th>' for index in groups],
        *['<th scope="col">Better, as far as shown</th>'] * bool(comparison.pairs),
    ]
    rows = [_row(comparison, index) for index in range(len(comparison.classes))]
    what = f"{comparison.class_metric} of each class with 95 % intervals"
    return legend(comparison) + table(what, head, rows, "classes")


def _row(comparison: Comparison, index: int) -> list[str]:
    scores = [group.classes[index] for group in comparison.groups]
    values = [class_percent(comparison, index, score.value) for score in scores]
    cells = [
        f'<td class="number of{group}">{values[group]}<br><small>{interval(score)}</small></td>'
        for group, score in enumerate(scores)
    ]
    return [
        f'<th scope="row">{escape(comparison.classes[index])}</th>',
        f"<td>{_bars(comparison, index, scores)}</td>",
        *cells,
        *[f"<td>{_differences(comparison, index)}</td>"] * bool(comparison.pairs),
    ]


def _bars(comparison: Comparison, index: int, scores: list[Estimate]) -> str:
    """Return a bar for each group and a line over its interval, from 0 to 100 %."""
    rows = []
    for group, score in enumerate(scores):
        if math.isnan(score.value) or comparison.classes[index] in comparison.absent:
            continue
        top, middle = group * _BAR + 1, (group + 0.5) * _BAR
        tip = f"{comparison.classes[index]}, {comparison.groups[group].label}: {percent(score.value)}"
        tip += f"\n95 % interval {interval(score)}"
        low, high = (100 * min(1.0, max(0.0, end)) for end in (score.low, score.high))
        whisker = "" if math.isnan(score.low) else f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}"/>'
        rows.append(
            f'<g class="spot g{group} of{group}"><title>{escape(tip)}</title>'
            f'<rect class="hit" width="100" y="{group * _BAR}" height="{_BAR}"/>'
            f'<rect class="bar" width="{100 * score.value:.1f}" y="{top}" height="{_BAR - 2}"/>{whisker}</g>'
        )
    height = _BAR * len(scores)
    words = f"{comparison.classes[index]}: bars of all groups; the arrow keys tell the values"
    return (
        f'<svg class="bars" viewBox="0 0 100 {height}" style="height:{height * 1.4:.0f}px" preserveAspectRatio="none" '
        f'role="img" data-row="1" aria-label="{escape(words)}">{"".join(rows)}</svg>'
    )


def _differences(comparison: Comparison, index: int) -> str:
    """Return which group is better on a class, where that is shown; over which other, where there are more than two."""
    sentences = []
    for pair in comparison.pairs:
        difference = pair.classes[index]
        if difference.shown:
            better, worse, sign = (
                (pair.first, pair.second, 1) if difference.value > 0 else (pair.second, pair.first, -1)
            )
            over = f" over {name(comparison, worse)}" if len(comparison.groups) > 2 else ""
            doubt = f"{interval(difference, sign)}; {chance(difference.p)}"
            size = f"<b>{percent(abs(difference.value))}</b> <small>({doubt})</small>"
            sentences.append(f"<li>{name(comparison, better)}{over} by {size}</li>")
    more = f"<li>{len(sentences) - _PAIRS} more</li>" if len(sentences) > _PAIRS else ""
    return f'<ul class="shown">{"".join(sentences[:_PAIRS])}{more}</ul>' if sentences else "<small>none shown</small>"
