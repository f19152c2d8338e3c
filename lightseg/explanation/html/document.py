"""Page of an explanation: its sections in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from lightseg.errors import UserError
from lightseg.explanation.collect import Observations
from lightseg.explanation.deletion import SHARES, Deletion, faithfulness, is_faithful
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.errors import errors
from lightseg.explanation.html.scores import scores
from lightseg.explanation.html.tables import Row
from lightseg.explanation.text import evidence, sentence
from lightseg.files.atomic import write_atomically
from lightseg.metrics.calibration import Reliability
from lightseg.metrics.formatting import format_p_value, percent
from lightseg.metrics.scores import Integers, get_metric, mean
from lightseg.visualization.html import Section, read_source, render, render_page
from lightseg.visualization.html.charts import Axis, Frame
from lightseg.visualization.html.images import LONGEST

MAX_BYTES = 5_000_000
"""Upper limit of the size of a page; its pictures are shrunk until it fits."""

_SIDES = (LONGEST, 224, 160, 112, 80, 56)

_CHARTS = 12
"""Largest number of charts of the calibration of a class, those with the largest errors."""

_FRAME = Frame(height=300)
_PERCENT = np.array([0.0, 25.0, 50.0, 75.0, 100.0])


def write_page(explanation: Explanation, run: str, path: Path) -> None:
    """Write an explanation as one HTML file that needs no other file and no network, atomically.

    Args:
        explanation: Explanation of a run.
        run: Name of the run.
        path: File to write.

    Raises:
        UserError: If so many images do not fit.
    """
    for longest in _SIDES:
        page = _page(explanation, run, longest)
        if len(page.encode()) < MAX_BYTES:
            write_atomically(path, page)
            return
    raise UserError(f"--images: so many do not fit into a page of {MAX_BYTES // 1_000_000} MB; give a smaller number")


def _page(explanation: Explanation, run: str, longest: int) -> str:
    def section(name: str, **values: Any) -> Markup:
        values |= {"explanation": explanation, "longest": longest, "percent": percent, "format_p_value": format_p_value}
        return render(f"explanation/html/{name}.html", **values)

    observations = explanation.observations
    uncertain = "Uncertainty beside errors" if observations.kind == "segmentation" else "The most uncertain images"
    axes = {
        "x": Axis(_PERCENT, _FRAME.left, _FRAME.right),
        "y": Axis(_PERCENT, _FRAME.bottom, _FRAME.top),
    }
    deletion_columns = ["Blurred first", *[f"{percent(share, 0)} % of the image" for share in SHARES]]
    saliency = section(
        "saliency",
        is_faithful=is_faithful,
        faithfulness=faithfulness,
        deletion_columns=deletion_columns,
        deletion_rows=_deletion_rows,
    )
    findings = Section("findings", "Findings", section("findings", sentence=sentence, evidence=evidence))
    if observations.labels is None:
        of_classes = []
        confusions = [Section("confusions", "Confusions", section("confusions"))]
    else:
        of_classes = [Section("scores", "Scores of each class", scores(observations))]
        # a single class is confused with no other
        is_several = len(observations.classes) > 1
        confusions = [Section("alarms", "False alarms by what is there", section("alarms"))] if is_several else []
    calibration = section("calibration", frame=_FRAME, charts=_charts(observations), mean_ece=_mean_ece, **axes)
    return render_page(
        title=f"Where {run} fails",
        summary=_summary(explanation),
        sections=[
            findings,
            *of_classes,
            Section("parts", "Errors in parts", errors(observations)),
            Section("worst", "Worst images of each class", section("worst", shown_ids=_shown_ids(observations))),
            *confusions,
            Section("calibration", "Calibration", calibration),
            Section("looks", "Where the net looks", saliency),
            Section("uncertain", uncertain, section("uncertain")),
            Section("details", "Details", section("details", now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))),
        ],
        style=read_source("explanation/html/explanation.css"),
    )


def _summary(explanation: Explanation) -> str:
    observations = explanation.observations
    total, wrong = int(observations.confusion.sum()), observations.wrong
    score = get_metric(observations.score_kind, "score").name
    unit = f"{'valid ' * (observations.kind == 'segmentation')}{observations.unit}"
    if observations.labels:
        unit = f"labels of {unit}"
    return (
        f"{score} {percent(explanation.score)} on {explanation.split} · {len(observations.names):,} images · "
        f"{wrong:,} of {total:,} {unit} are wrong ({percent(wrong / total, 2)} %)"
    )


def _charts(observations: Observations) -> list[tuple[str, Reliability]]:
    """Return the reliability tables to draw with their titles: that of the confidence, or those of the classes."""
    if observations.labels is None:
        return [("Share that is right, by confidence; dashed: as often right as sure", observations.reliability[0])]
    tables = [
        (f"{name}: share that has it, by probability; dashed: as often as probable", reliability)
        for name, reliability in zip(observations.classes, observations.reliability, strict=True)
        if reliability.pixels.any()
    ]
    return sorted(tables, key=lambda table: table[1].ece, reverse=True)[:_CHARTS]


def _mean_ece(tables: Sequence[Reliability]) -> float:
    """Return the mean calibration error of the tables with pixels."""
    return float(mean(np.array([reliability.ece for reliability in tables]), 0))


def _shown_ids(observations: Observations) -> list[Integers]:
    """Return the ids of the classes in the truth and in the predictions."""
    columns = (observations.cells[name] for name in ("truth", "prediction"))
    return [ids[ids < len(observations.classes)] for ids in columns]


def _deletion_rows(deletions: Sequence[Deletion]) -> list[Row]:
    """Return the mean remaining probability in percent, by the order in which the image is blurred."""
    orders = {
        "what speaks most for the class": [deletion.most for deletion in deletions],
        "at random": [deletion.random for deletion in deletions],
        "what speaks least": [deletion.least for deletion in deletions],
    }
    return [
        Row(name, [percent(float(share), 0) for share in np.mean(remaining, axis=0)])
        for name, remaining in orders.items()
    ]
