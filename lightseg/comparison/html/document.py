"""Whole page: its sections in the order in which a reader wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lightseg.comparison.html.classes import classes
from lightseg.comparison.html.curves import curves
from lightseg.comparison.html.details import details
from lightseg.comparison.html.disagreements import disagreements
from lightseg.comparison.html.markup import COLORS, DARK_COLORS, look
from lightseg.comparison.html.matrices import matrices
from lightseg.comparison.html.ranking import ranking
from lightseg.comparison.results import Comparison
from lightseg.files.atomic import write_atomically
from lightseg.visualization.html import Section, render
from lightseg.visualization.html.document import resource

_SECTIONS: tuple[tuple[str, str, Callable[[Comparison, bool], str]], ...] = (
    ("ranking", "Result", lambda comparison, _: ranking(comparison)),
    ("curves", "Learning curves", lambda comparison, _: curves(comparison)),
    ("classes", "Classes", lambda comparison, _: classes(comparison)),
    ("matrices", "Confusion", lambda comparison, _: matrices(comparison)),
    ("images", "Where the runs disagree most", disagreements),
    ("details", "Details", lambda comparison, _: details(comparison)),
)


def write_page(comparison: Comparison, path: Path, trust: bool = False) -> None:
    """Write a comparison as one HTML file that needs no other file and no network, whole or not at all.

    The predictions that it shows are made again from the checkpoints; where they or the data are gone, it says so.

    Args:
        comparison: What to show.
        path: The file.
        trust: Run the classes of others that the runs name, see `lightseg.load`.
    """
    write_atomically(path, _page(comparison, trust))


def _page(comparison: Comparison, trust: bool) -> str:
    return render(
        title=f"{comparison.metric} on {comparison.split}",
        summary=_summary(comparison),
        sections=[Section(anchor, title, section(comparison, trust)) for anchor, title, section in _SECTIONS],
        style=resource(__package__, "comparison.css") + _colors(len(comparison.groups)),
    )


def _summary(comparison: Comparison) -> str:
    runs = sum(len(group.runs) for group in comparison.groups)
    counts = ((len(comparison.groups), "group"), (runs, "run"), (len(comparison.images), "image"))
    parts = [f"{count:,} {noun}{'s' * (count != 1)}" for count, noun in counts]
    return f"{' · '.join(parts)} of the {comparison.split} split"


def _colors(groups: int) -> str:
    """Return the colour of each group, and the rule that a switch of the legend hides it by."""
    light, dark = (
        "".join(f"--g{index}:{colors[look(index)[0]]};" for index in range(groups)) for colors in (COLORS, DARK_COLORS)
    )
    rules = "".join(
        f".g{index}{{color:var(--g{index});--dash:{look(index)[1]}}}"
        f"section:has(.switch{index}:not(:checked)) .of{index}{{display:none}}"
        for index in range(groups)
    )
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}"
