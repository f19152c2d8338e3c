"""Learning curves over each other: a thin line for each run, in the colour of its group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import LogLocator, MaxNLocator

from lightseg.comparison.html.markup import legend, number
from lightseg.comparison.results import Comparison
from lightseg.metrics.scores import Floats, get_metric
from lightseg.runs.read import Run
from lightseg.visualization.html.markup import escape

_POINTS = 200
"""Points of a line at most; neighbours are averaged."""

_LOGARITHMIC = 20
"""Losses that span more than this ratio are drawn on a logarithmic scale."""

_WIDTH, _HEIGHT = 420, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 404, 8, 236


class Line(NamedTuple):
    """Values that a run logged under one name: steps and values, float64 `(P,)` each."""

    group: int
    steps: Floats
    values: Floats


@dataclass(frozen=True)
class Axis:
    """Stretch of numbers laid out on pixels.

    Attributes:
        ticks: Numbers that are written at it; it goes from the first to the last of them.
        start: Pixel of the first one.
        end: Pixel of the last one.
        log: Whether equal ratios are equally long.
    """

    ticks: Floats
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Floats, start: float, end: float, log: bool = False) -> Axis:
        """Return the axis with round numbers that holds some values."""
        if np.ptp(values) == 0:
            # they would span nothing
            values = np.array([values[0] - 0.5, values[0] + 0.5])
        locator = LogLocator(subs=(1.0, 2.0, 5.0)) if log else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
        ticks = np.asarray(locator.tick_values(values.min(), values.max()))
        # of the ticks outside only the nearest are needed
        first, last = np.searchsorted(ticks, values.min(), "right") - 1, np.searchsorted(ticks, values.max())
        return cls(ticks[max(0, first) : last + 1], start, end, log)

    def at(self, values: npt.ArrayLike) -> Floats:
        """Return the pixels of some numbers."""
        scaled, ends = (np.log(each) if self.log else np.asarray(each) for each in (values, self.ticks[[0, -1]]))
        pixels: Floats = self.start + (self.end - self.start) * (scaled - ends[0]) / (ends[1] - ends[0])
        return pixels


def curves(comparison: Comparison) -> str:
    """Validation score and loss and training loss; none where nothing was logged."""
    score = get_metric(comparison.kind, "score").name
    charts = [
        _chart(comparison, title, list(_lines(comparison, key, scale)), log)
        for title, key, scale, log in (
            (f"Validation {score}, %", "val/score", 100.0, False),
            ("Validation loss", "val/loss", 1.0, True),
            ("Training loss", "train/loss", 1.0, True),
        )
    ]
    return f'{legend(comparison)}<div class="charts">{"".join(charts)}</div>' if any(charts) else ""


def _lines(comparison: Comparison, key: str, scale: float) -> Iterable[Line]:
    for index, group in enumerate(comparison.groups):
        for run in group.runs:
            steps, values = _logged(run, key)
            if len(steps):
                yield Line(index, steps, scale * values)


def _logged(run: Run, key: str) -> tuple[Floats, Floats]:
    """Steps and values of what was logged, without what was not finite, thinned to at most `_POINTS`."""
    rows = [(row["step"], row[key]) for row in run.log if row.get(key) is not None]
    chunks = np.array_split(np.array(rows, float).reshape(-1, 2), min(_POINTS, max(1, len(rows))))
    means = np.array([chunk.mean(0) for chunk in chunks if len(chunk)]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def _chart(comparison: Comparison, title: str, lines: Sequence[Line], may_be_log: bool) -> str:
    if not lines:
        return ""
    steps, values = (np.concatenate(each) for each in zip(*[line[1:] for line in lines], strict=True))
    log = may_be_log and values.min() > 0 and values.max() > _LOGARITHMIC * values.min()
    across = Axis.over(np.append(steps, 0.0), _LEFT, _RIGHT)
    up = Axis.over(values, _BOTTOM, _TOP, bool(log))
    paths = "".join(_path(line, across, up) for line in lines)
    words = f"{title}{' (logarithmic)' if log else ''} over optimiser steps; the arrow keys tell the values"
    return (
        f"<figure><figcaption>{escape(title)}{' <small>logarithmic</small>' if log else ''}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" class="chart" role="img" data-row="1" aria-label="{escape(words)}">'
        f"{_scales(across, up)}{paths}{_spots(comparison, lines, across)}</svg></figure>"
    )


def _path(line: Line, across: Axis, up: Axis) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across.at(line.steps), up.at(line.values), strict=True))
    if len(line.steps) == 1:
        return f'<path class="dot g{line.group} of{line.group}" d="M{points}h.01"/>'
    return f'<polyline class="line g{line.group} of{line.group}" points="{points}"/>'


def _scales(across: Axis, up: Axis) -> str:
    """Grid lines with their numbers, and what the steps are."""
    rows = "".join(
        f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick, y in zip(up.ticks, up.at(up.ticks), strict=True)
    )
    columns = "".join(
        f'<text x="{x:.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
        for tick, x in zip(across.ticks, across.at(across.ticks), strict=True)
    )
    middle = (_LEFT + _RIGHT) / 2
    return f'{rows}{columns}<text x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">optimiser step</text>'


def _spots(comparison: Comparison, lines: Sequence[Line], across: Axis) -> str:
    """Return a column of the chart for each step that is logged, which tells the values there."""
    steps = np.unique(np.concatenate([line.steps for line in lines]))
    steps = steps[np.linspace(0, len(steps) - 1, min(len(steps), _POINTS)).astype(int)]
    pixels = across.at(steps)
    edges = np.concatenate([[_LEFT], (pixels[1:] + pixels[:-1]) / 2, [_RIGHT]])
    return "".join(
        f'<rect class="spot" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_BOTTOM - _TOP}">'
        f"<title>{escape(_tip(comparison, lines, step))}</title></rect>"
        for step, left, right in zip(steps, edges[:-1], edges[1:], strict=True)
    )


def _tip(comparison: Comparison, lines: Sequence[Line], step: float) -> str:
    """Return the last values of each run up to a step, which not all have logged something at."""
    said = [f"step {step:g}"]
    for index, group in enumerate(comparison.groups):
        last = [
            line.values[np.searchsorted(line.steps, step, "right") - 1]
            for line in lines
            if line.group == index and line.steps[0] <= step <= line.steps[-1]
        ]
        if last:
            said.append(f"{group.label}: {', '.join(number(value) for value in last)}")
    return "\n".join(said)
