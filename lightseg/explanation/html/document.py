"""Page of an explanation: its sections in order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from lightseg.comparison.text import percent
from lightseg.errors import UserError
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.html.calibration import calibration
from lightseg.explanation.html.confusions import confusions
from lightseg.explanation.html.errors import errors
from lightseg.explanation.html.figures import figures
from lightseg.explanation.html.findings import findings
from lightseg.explanation.html.saliency import saliency_maps
from lightseg.files.atomic import write_atomically
from lightseg.visualization.html import Section, read_source, render, render_page
from lightseg.visualization.html.images import LONGEST, mask_colors

MAX_BYTES = 5_000_000
"""Upper limit of the size of a page; its pictures are shrunk until it fits."""

_SIDES = (LONGEST, 224, 160, 112, 80, 56)


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
    observations = explanation.seen
    uncertain = "Uncertainty beside errors" if observations.kind == "segmentation" else "The most uncertain images"
    return render_page(
        title=f"Where {run} fails",
        summary=_summary(explanation),
        sections=[
            Section("findings", "Findings", findings(explanation)),
            Section("parts", "Errors in parts", errors(observations)),
            Section("worst", "Worst images of each class", _worst(explanation, longest)),
            Section("confusions", "Confusions", confusions(explanation, longest)),
            Section("calibration", "Calibration", calibration(observations)),
            Section("looks", "Where the net looks", saliency_maps(explanation.probes, longest)),
            Section("uncertain", uncertain, figures(explanation.uncertain, longest)),
            Section("details", "Details", _details(explanation)),
        ],
        style=read_source("explanation/html/explanation.css"),
    )


def _summary(explanation: Explanation) -> str:
    observations = explanation.seen
    total, wrong = int(observations.confusion.sum()), observations.wrong
    score, unit = ("mIoU", "valid pixels") if observations.kind == "segmentation" else ("accuracy", "images")
    return (
        f"{score} {percent(explanation.score)} on {explanation.split} · {len(observations.names):,} images · "
        f"{wrong:,} of {total:,} {unit} are wrong ({percent(wrong / total, 2)} %)"
    )


def _worst(explanation: Explanation, longest: int) -> Markup:
    cells, colors = explanation.seen.cells, []
    if explanation.seen.kind == "segmentation":
        masks = [cells["truth"], cells["prediction"]]
        colors = mask_colors(explanation.seen.classes, explanation.palette, masks)
    return render("explanation/html/worst.html", colors=colors, figures=figures(explanation.worst, longest))


def _details(explanation: Explanation) -> Markup:
    temperature = f"{explanation.seen.temperature:g}" if explanation.seen.temperature != 1 else "none"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    details = [("Predicted from", explanation.protocol), ("Temperature", temperature), ("Written", now)]
    return render("explanation/html/details.html", details=details)
