"""Page of a comparison: its sections in order."""

from __future__ import annotations

from pathlib import Path

from lightseg.comparison.html.curves import curves
from lightseg.comparison.html.disagreements import disagreements
from lightseg.comparison.html.groups import group_css
from lightseg.comparison.html.sections import classes, details, matrices, ranking
from lightseg.comparison.results import Comparison
from lightseg.files.atomic import write_atomically
from lightseg.files.printable import format_count
from lightseg.visualization.html import Section, read_source, render_page


def write_page(comparison: Comparison, path: Path, trust: bool = False) -> None:
    """Write a comparison as one HTML file that needs no other file and no network, atomically.

    The predictions on the page are computed again from the checkpoints; where they or the data are missing, the page
    says so.

    Args:
        comparison: Comparison of groups.
        path: File to write.
        trust: Run the classes of others that the runs name, see `lightseg.load`.
    """
    page = render_page(
        title=f"{comparison.metric} on {comparison.split}",
        summary=_summary(comparison),
        sections=[
            Section("ranking", "Result", ranking(comparison)),
            Section("curves", "Learning curves", curves(comparison)),
            Section("classes", "Classes", classes(comparison)),
            *_confusion(comparison),
            Section("images", "Where the runs disagree most", disagreements(comparison, trust)),
            Section("details", "Details", details(comparison)),
        ],
        style=read_source("comparison/html/comparison.css") + group_css(len(comparison.groups)),
    )
    write_atomically(path, page)


def _confusion(comparison: Comparison) -> list[Section]:
    """Return the section of the confusion matrices; classes that may overlap have none."""
    has_matrices = comparison.kind in ("segmentation", "classification")
    return [Section("matrices", "Confusion", matrices(comparison))] if has_matrices else []


def _summary(comparison: Comparison) -> str:
    runs = sum(len(group.runs) for group in comparison.groups)
    counts = ((len(comparison.groups), "group"), (runs, "run"), (len(comparison.images), "image"))
    parts = [format_count(count, noun) for count, noun in counts]
    return f"{' · '.join(parts)} of the {comparison.split} split"
