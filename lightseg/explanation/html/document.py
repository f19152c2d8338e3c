"""Page of an explanation: its sections in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from lightseg.errors import UserError
from lightseg.explanation.deletion import SHARES, Deletion, faithfulness, is_faithful
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.errors import Row, errors
from lightseg.explanation.text import evidence, sentence
from lightseg.files.atomic import write_atomically
from lightseg.metrics.formatting import format_p_value, percent
from lightseg.visualization.html import Section, read_source, render, render_page
from lightseg.visualization.html.charts import Axis, Frame
from lightseg.visualization.html.images import LONGEST

MAX_BYTES = 5_000_000
"""Upper limit of the size of a page; its pictures are shrunk until it fits."""

_SIDES = (LONGEST, 224, 160, 112, 80, 56)

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

    uncertain = (
        "Uncertainty beside errors" if explanation.observations.kind == "segmentation" else "The most uncertain images"
    )
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
    return render_page(
        title=f"Where {run} fails",
        summary=_summary(explanation),
        sections=[
            Section("findings", "Findings", section("findings", sentence=sentence, evidence=evidence)),
            Section("parts", "Errors in parts", errors(explanation.observations)),
            Section("worst", "Worst images of each class", section("worst")),
            Section("confusions", "Confusions", section("confusions")),
            Section("calibration", "Calibration", section("calibration", frame=_FRAME, **axes)),
            Section("looks", "Where the net looks", saliency),
            Section("uncertain", uncertain, section("uncertain")),
            Section("details", "Details", section("details", now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))),
        ],
        style=read_source("explanation/html/explanation.css"),
    )


def _summary(explanation: Explanation) -> str:
    observations = explanation.observations
    total, wrong = int(observations.confusion.sum()), observations.wrong
    score, unit = ("mIoU", "valid pixels") if observations.kind == "segmentation" else ("accuracy", "images")
    return (
        f"{score} {percent(explanation.score)} on {explanation.split} · {len(observations.names):,} images · "
        f"{wrong:,} of {total:,} {unit} are wrong ({percent(wrong / total, 2)} %)"
    )


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
