"""Whole page: its sections in the order in which a reader wants them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lightseg.comparison.text import percent
from lightseg.errors import UserError
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.calibration import calibration
from lightseg.explanation.html.confusions import confusions
from lightseg.explanation.html.errors import errors
from lightseg.explanation.html.figures import figures
from lightseg.explanation.html.findings import findings
from lightseg.explanation.html.saliency import looks
from lightseg.files.atomic import write_atomically
from lightseg.visualization.html import Section, render
from lightseg.visualization.html.document import resource
from lightseg.visualization.html.images import LONGEST, colors
from lightseg.visualization.html.markup import escape

MOST_BYTES = 5_000_000
"""A page is smaller than this, by smaller pictures if need be."""

_SIDES = (LONGEST, 224, 160, 112, 80, 56)


def write_page(explanation: Explanation, run: str, path: Path) -> None:
    """Write an explanation as one HTML file that needs no other file and no network, whole or not at all.

    Args:
        explanation: What is explained.
        run: What the run is called.
        path: The file.

    Raises:
        UserError: If so many images do not fit.
    """
    for longest in _SIDES:
        page = _page(explanation, run, longest)
        if len(page.encode()) < MOST_BYTES:
            write_atomically(path, page)
            return
    raise UserError(f"--images: so many do not fit into a page of {MOST_BYTES // 1_000_000} MB; give a smaller number")


def _page(explanation: Explanation, run: str, longest: int) -> str:
    stats = explanation.observations
    uncertain = "Uncertainty beside errors" if stats.kind == "segmentation" else "The most uncertain images"
    return render(
        title=f"Where {run} fails",
        summary=_summary(explanation),
        sections=[
            Section("findings", "Findings", findings(explanation)),
            Section("parts", "Errors in parts", errors(stats)),
            Section("worst", "Worst images of each class", _worst(explanation, longest)),
            Section("confusions", "Confusions", confusions(explanation, longest)),
            Section("calibration", "Calibration", calibration(stats)),
            Section("looks", "Where the net looks", looks(explanation.saliency, longest)),
            Section("uncertain", uncertain, figures(explanation.uncertain, longest)),
            Section("details", "Details", _details(explanation)),
        ],
        style=resource(__package__, "explanation.css"),
    )


def _summary(explanation: Explanation) -> str:
    stats = explanation.observations
    total = int(stats.confusion.sum())
    score = "mIoU" if stats.kind == "segmentation" else "accuracy"
    return (
        f"{score} {percent(explanation.score)} on {explanation.split} · {len(stats.names):,} images · "
        f"{stats.wrong:,} of {total:,} {'valid pixels' if stats.kind == 'segmentation' else 'images'} are wrong "
        f"({percent(stats.wrong / total, 2)} %)"
    )


def _worst(explanation: Explanation, longest: int) -> str:
    if not explanation.worst:
        return '<p class="missing">There is none: every class is found in every image.</p>'
    if explanation.observations.kind == "classification":
        return figures(explanation.worst, longest)
    legend = colors(
        explanation.observations.classes,
        explanation.palette,
        [explanation.observations.cells["truth"], explanation.observations.cells["prediction"]],
    )
    return f'{legend}<p class="hint">Errors are red, void is white.</p>{figures(explanation.worst, longest)}'


def _details(explanation: Explanation) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    temperature = f"{explanation.observations.temperature:g}" if explanation.observations.temperature != 1 else "none"
    facts = (("Predicted from", explanation.protocol), ("Temperature", temperature), ("Written", now))
    return f'<dl class="facts">{"".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)}</dl>'
