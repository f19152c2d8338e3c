"""Confidence against accuracy, and uncertainty against errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from lightseg.comparison.text import percent
from lightseg.explanation.collect import Observations
from lightseg.visualization.html import render
from lightseg.visualization.html.charts import Axis, Frame

_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)

_FRAME = Frame(height=300)
_PERCENT = np.array([0.0, 25.0, 50.0, 75.0, 100.0])
_X = Axis(_PERCENT, _FRAME.left, _FRAME.right)
_Y = Axis(_PERCENT, _FRAME.bottom, _FRAME.top)


def calibration(observations: Observations) -> Markup:
    """Render the calibration error and two charts."""
    uncalibrated = observations.uncalibrated
    return render(
        "explanation/html/calibration.html",
        error=percent(observations.reliability.ece, 2),
        error_without=None if uncalibrated is None else percent(uncalibrated.ece, 2),
        temperature=f"{observations.temperature:g}",
        frame=_FRAME,
        x=_X,
        y=_Y,
        unit=observations.unit,
        bins=_bins(observations),
        uncertainty=_uncertainty(observations) if observations.wrong else None,
    )


def _bins(observations: Observations) -> list[dict[str, Any]]:
    """Return the bars of the reliability diagram in pixels."""
    total = float(observations.reliability.pixels.sum())
    return [
        {
            "left": _x(row["above"]),
            "right": _x(row["to"]),
            "top": _y(row["accuracy"]),
            "mean": _x(row["confidence"]),
            "tip": f"confidence {percent(row['confidence'])} %: {percent(row['accuracy'])} % right\n"
            f"{row['pixels']:,} {observations.unit}, {percent(row['pixels'] / total)} %",
        }
        for row in observations.reliability.table
    ]


def _uncertainty(observations: Observations) -> dict[str, Any]:
    """Return the curve of the errors among the most uncertain, in pixels, and its marked points."""
    errors_among = observations.by_uncertainty.errors_among
    points = [(_x(share), _y(errors_among(share))) for share in np.arange(101) / 100]
    spots = [
        {"x": _x(share), "y": _y(errors), "share": percent(share, 0), "errors": percent(errors)}
        for share in _SHARES
        if not math.isnan(errors := errors_among(share))
    ]
    return {
        "points": points,
        "spots": spots,
        "share": percent(_SHARES[1], 0),
        "errors": percent(errors_among(_SHARES[1])),
    }


def _x(share: float) -> float:
    return float(_X.at(100 * share))


def _y(share: float) -> float:
    return float(_Y.at(100 * share))
