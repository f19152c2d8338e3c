"""Learning curves: one line for each run, in the color of its group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from lightseg.comparison.html.sections import format_number, render_section
from lightseg.comparison.results import Comparison
from lightseg.metrics.scores import Floats, get_metric
from lightseg.runs.read import Run
from lightseg.visualization.html.charts import Axis, Frame

_MAX_POINTS = 200
"""Points of a line; neighbors are averaged."""

_LOG_RATIO = 20
"""Losses that span more than this ratio are on a logarithmic axis."""

_LARGEST = 1e100
"""Largest absolute value of a line; a chart of larger ones would overflow."""

_FRAME = Frame(height=270)


class Line(NamedTuple):
    """Logged values of a run under one name.

    Attributes:
        group: Index of its group.
        steps: Optimizer steps, float64 `(P,)`.
        values: Values, float64 `(P,)`.
    """

    group: int
    steps: Floats
    values: Floats


def curves(comparison: Comparison) -> Markup:
    """Render the validation score and loss and the training loss; empty where nothing was logged."""
    score = get_metric(comparison.kind, "score").name
    charts = [
        _chart(comparison, title, lines, can_be_log)
        for title, key, factor, can_be_log in (
            (f"Validation {score}, %", "val/score", 100.0, False),
            ("Validation loss", "val/loss", 1.0, True),
            ("Training loss", "train/loss", 1.0, True),
        )
        if (lines := list(_lines(comparison, key, factor)))
    ]
    return render_section("curves", comparison, frame=_FRAME, charts=charts) if charts else Markup()


def _lines(comparison: Comparison, key: str, factor: float) -> Iterator[Line]:
    for index, group in enumerate(comparison.groups):
        for run in group.runs:
            steps, values = _logged_points(run, key)
            if len(steps):
                yield Line(index, steps, factor * values)


def _logged_points(run: Run, key: str) -> tuple[Floats, Floats]:
    """Return steps and values of a key up to `_LARGEST`, float64 `(P,)` each, thinned to `_MAX_POINTS`."""
    logged = [(row["step"], row.get(key)) for row in run.log]
    rows = [pair for pair in logged if None not in pair and max(map(abs, pair)) <= _LARGEST]
    chunks = np.array_split(np.array(rows, float).reshape(-1, 2), min(_MAX_POINTS, max(1, len(rows))))
    means = np.array([chunk.mean(0) for chunk in chunks if len(chunk)]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def _chart(comparison: Comparison, title: str, lines: Sequence[Line], can_be_log: bool) -> dict[str, Any]:
    steps, values = (np.concatenate([line[column] for line in lines]) for column in (1, 2))
    is_log = bool(can_be_log and values.min() > 0 and values.max() > _LOG_RATIO * values.min())
    x = Axis.over(np.append(steps, 0.0), _FRAME.left, _FRAME.right)
    y = Axis.over(values, _FRAME.bottom, _FRAME.top, is_log)
    return {
        "title": title,
        "is_log": is_log,
        "x": x,
        "y": y,
        "lines": [(line.group, list(zip(x.at(line.steps), y.at(line.values), strict=True))) for line in lines],
        "spots": _spots(comparison, lines, x),
    }


def _spots(comparison: Comparison, lines: Sequence[Line], x: Axis) -> list[tuple[float, float, str]]:
    """Return left end, width and tip of a column of the chart for each logged step."""
    steps = np.unique(np.concatenate([line.steps for line in lines]))
    steps = steps[np.linspace(0, len(steps) - 1, min(len(steps), _MAX_POINTS)).astype(int)]
    pixels = x.at(steps)
    edges = np.concatenate([[x.start], (pixels[1:] + pixels[:-1]) / 2, [x.end]])
    return list(zip(edges[:-1], np.diff(edges), [_tip(comparison, lines, step) for step in steps], strict=True))


def _tip(comparison: Comparison, lines: Sequence[Line], step: float) -> str:
    """Return the last value of each run up to a step; runs log at different steps."""
    rows = [f"step {step:g}"]
    for index, name in enumerate(comparison.short_names):
        values = [
            format_number(line.values[np.searchsorted(line.steps, step, "right") - 1])
            for line in lines
            if line.group == index and line.steps[0] <= step <= line.steps[-1]
        ]
        if values:
            rows.append(f"{name}: {', '.join(values)}")
    return "\n".join(rows)
