"""Small parts that the sections of a comparison share: numbers as text, a group's name and look, legends."""

from __future__ import annotations

import math

from lightseg.comparison.results import Comparison
from lightseg.visualization.html.markup import escape

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3b3f45")
DARK_COLORS = ("#3f9fdc", "#ee7a2b", "#22b98d", "#d98fb7", "#e9ae33", "#7cc7f2", "#d5d9de")
"""Colours that the colour-blind can tell apart, and the same a little lighter for a dark page.

Source: Okabe and Ito 2008, *Color Universal Design*, less its yellow, which white paper swallows.
"""

_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "14 4")


def look(group: int) -> tuple[int, str]:
    """Index of the colour of a group, and the dashes of its lines: of 35 groups no two look alike."""
    return group % len(COLORS), _DASHES[group % len(_DASHES)]


def number(value: float, digits: int = 3) -> str:
    """Return a number of any size with some significant digits and thousands set apart; `–` where undefined."""
    if math.isnan(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def scale(title: str, low: str, high: str) -> str:
    """Return the head of a column of pictures that share an axis: its title over the two ends."""
    ends = f'<span class="ends"><span>{low}</span> <span>{high}</span></span>'
    return f'<th scope="col">{escape(title)}{ends}</th>'


def swatch(group: int) -> str:
    """Return a piece of the group's line, as a key to pictures."""
    return f'<svg class="swatch g{group}" viewBox="0 0 28 10" aria-hidden="true"><path class="line" d="M1 5H27"/></svg>'


def name(comparison: Comparison, group: int) -> str:
    """Return a group's label beside its line."""
    return f'<span class="name">{swatch(group)}{escape(comparison.groups[group].label)}</span>'


def legend(comparison: Comparison) -> str:
    """Return the groups, each with a switch that hides it in the same section."""
    switches = "".join(
        f'<label><input type="checkbox" class="switch{index}" checked> {name(comparison, index)}</label>'
        for index in range(len(comparison.groups))
    )
    return f'<fieldset class="legend"><legend class="unseen">Groups shown</legend>{switches}</fieldset>'
