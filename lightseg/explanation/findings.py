"""Findings: concentrations of errors, the most important first."""

from __future__ import annotations

from typing import NamedTuple

from lightseg.explanation.collect import Observations
from lightseg.explanation.error_slices import ErrorSlice, error_slices
from lightseg.explanation.significance import p_values
from lightseg.explanation.table import Table

LEVEL = 0.05
"""What chance alone does less often is taken for more."""

_MOST, _FEWEST = 10, 3
"""So many findings are told at most; and so many even where chance may have made them."""

_SLIGHT = 0.01
"""What holds a smaller share of all wrong pixels is not told."""


class Finding(NamedTuple):
    """Concentration of errors.

    Attributes:
        what: Which one.
        alone: How often chance alone makes this one as clear.
        p: How often chance alone makes any of the candidates as clear.
        cells: Those of the split that the findings before it leave, which it is about.
    """

    what: ErrorSlice
    alone: float
    p: float
    cells: Table

    @property
    def holds(self) -> bool:
        """Return whether it is more than chance, considering how many were looked at."""
        return self.p <= LEVEL


def find(statistics: Observations) -> list[Finding]:
    """Return the findings, the most important first; each in what those before it leave of the split.

    They are ranked by `ErrorSlice.weight`: first those that hold, then those that would if nothing else had been looked
    at.
    """
    cells, results = statistics.cells, list[Finding]()
    while len(results) < _MOST and len(cells):
        possible = error_slices(statistics, cells)
        if not possible:
            break
        alone, together = p_values([(each.images, each.parts) for each in possible], len(statistics.names))
        tested = zip(possible, alone.tolist(), together.tolist(), strict=True)
        weighed = [Finding(*each, cells) for each in tested]
        large = [each for each in weighed if each.what.weight > 0 and each.what.excess > _SLIGHT * statistics.wrong]
        best = max(large, key=lambda each: (each.holds, each.alone <= LEVEL, each.what.weight), default=None)
        if best is None or not (best.holds or len(results) < _FEWEST):
            break
        results.append(best)
        cells = cells.where(~best.what.rows(cells))
    return results
