"""Section on calibration: confidence against accuracy."""

from __future__ import annotations

import math

from lightseg.comparison.text import percent
from lightseg.explanation.collect import Observations
from lightseg.metrics.calibration import Reliability
from lightseg.visualization.html.markup import escape

_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)

_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 404, 8, 266


def calibration(stats: Observations) -> str:
    """Two charts with what they say."""
    return (
        f'<p class="hint">{_said(stats)}</p><div class="charts">'
        f"{_reliability(stats.reliability, stats.unit)}{_by_uncertainty(stats)}</div>"
    )


def _said(stats: Observations) -> str:
    error = f"The expected calibration error is {percent(stats.reliability.ece, 2)} %"
    if stats.uncalibrated is None:
        return f"{error}: by so much confidence and accuracy differ on average, over bins of confidence."
    without = percent(stats.uncalibrated.ece, 2)
    return (
        f"{error} with the temperature {stats.temperature:g} that was fitted on validation images, {without} % without."
    )


def _reliability(reliability: Reliability, unit: str) -> str:
    total = float(reliability.pixels.sum())
    bars = []
    for row in reliability.table:
        left, right, top = _x(row["above"]), _x(row["to"]), _y(row["accuracy"])
        tip = (
            f"confidence {percent(row['confidence'])} %: {percent(row['accuracy'])} % right\n"
            f"{row['pixels']:,} {unit}, {percent(row['pixels'] / total)} %"
        )
        bars.append(
            f'<g class="spot"><title>{escape(tip)}</title>'
            f'<rect class="hit" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_BOTTOM - _TOP}"/>'
            f'<rect class="share" x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" '
            f'height="{_BOTTOM - top:.1f}"/>'
            f'<path class="mean" d="M{_x(row["confidence"]):.1f} {top:.1f}h.01"/></g>'
        )
    diagonal = f'<path class="ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>'
    return _chart(
        "Share that is right, by confidence; dashed: as often right as sure", "confidence, %", "".join(bars) + diagonal
    )


def _by_uncertainty(stats: Observations) -> str:
    if not stats.wrong:
        return ""
    shares = {share: stats.by_uncertainty.errors_among(share) for share in _SHARES}
    points = [(at / 100, stats.by_uncertainty.errors_among(at / 100)) for at in range(101)]
    line = " ".join(f"{_x(share):.1f},{_y(errors):.1f}" for share, errors in points)
    spots = "".join(
        f'<g class="spot"><title>the {percent(share, 0)} % most uncertain {stats.unit}: {percent(errors)} % of the '
        f'errors</title><path class="dot" d="M{_x(share):.1f} {_y(errors):.1f}h.01"/></g>'
        for share, errors in shares.items()
        if not math.isnan(errors)
    )
    shapes = (
        f'<polyline class="line" points="{line}"/><path class="ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>{spots}'
    )
    sentence = (
        f"the {percent(_SHARES[1], 0)} % most uncertain {stats.unit} hold {percent(shares[_SHARES[1]])} % of the errors"
    )
    return _chart(
        f"Errors among the most uncertain: {sentence}; dashed: by chance",
        f"most uncertain {stats.unit}, %",
        shapes,
    )


def _chart(title: str, across: str, shapes: str) -> str:
    words = f"{title}; the arrow keys tell the values"
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    grid = "".join(
        f'<path class="grid" d="M{_LEFT} {_y(tick):.1f}H{_RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{_y(tick) + 4:.1f}" text-anchor="end">{100 * tick:g}</text>'
        f'<text x="{_x(tick):.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{100 * tick:g}</text>'
        for tick in ticks
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" class="chart" role="img" data-row="1" aria-label="{escape(words)}">'
        f'{grid}{shapes}<text x="{(_LEFT + _RIGHT) / 2}" y="{_HEIGHT - 2}" text-anchor="middle">{escape(across)}</text>'
        "</svg></figure>"
    )


def _x(value: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * value


def _y(value: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value
