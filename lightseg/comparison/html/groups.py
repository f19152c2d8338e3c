"""Colors and line styles of the groups."""

from __future__ import annotations

from markupsafe import Markup

from lightseg.visualization.html import render

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3b3f45")
DARK_COLORS = ("#3f9fdc", "#ee7a2b", "#22b98d", "#d98fb7", "#e9ae33", "#7cc7f2", "#d5d9de")
"""Color-blind-safe palette and a lighter one for dark pages.

Source: Okabe and Ito 2008, *Color Universal Design*, without its yellow, which has no contrast on white.
"""

_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "14 4")


def line_style(group: int) -> tuple[int, str]:
    """Return the index of a group's color and the dashes of its lines, which are unique among 35 groups."""
    return group % len(COLORS), _DASHES[group % len(_DASHES)]


def group_css(number: int) -> Markup:
    """Return the CSS of so many groups: colors, dashes, and the rule by which a switch of the legend hides a group."""
    styles = [(COLORS[color], DARK_COLORS[color], dashes) for color, dashes in map(line_style, range(number))]
    return render("comparison/html/groups.css", styles=styles)
