"""Findings: concentrations of errors, the most important first."""

from __future__ import annotations

from typing import NamedTuple

from lightseg.explanation.collect import Observations
from lightseg.explanation.error_slices import ErrorSlice, error_slices
from lightseg.explanation.significance import p_values
from lightseg.explanation.table import Table
from lightseg.metrics.formatting import LEVEL

_MOST, _FEWEST = 10, 3
"""Largest number of findings, and number of findings that are reported even without significance."""

_SLIGHT = 0.01
"""Least share of all wrong pixels in the excess of a finding."""


class ErrorFinding(NamedTuple):
    """Concentration of errors with its significance.

    Attributes:
        error_slice: The concentration.
        p_alone: p value of this one by itself.
        p: p value corrected for all candidates.
        cells: Cells of the split without those of the findings before it.
    """

    error_slice: ErrorSlice
    p_alone: float
    p: float
    cells: Table

    @property
    def is_significant(self) -> bool:
        """Return whether it is significant after the correction for all candidates."""
        return self.p <= LEVEL


def find(observations: Observations) -> list[ErrorFinding]:
    """Return the findings, the most important first; each in the cells without those of the findings before it.

    They are ranked by `ErrorSlice.weight`: first those that are significant after correction, then those that are
    significant by themselves.
    """
    cells, findings = observations.cells, list[ErrorFinding]()
    while len(findings) < _MOST and len(cells):
        candidates = error_slices(observations, cells)
        if not candidates:
            break
        sums = [(candidate.images, candidate.parts) for candidate in candidates]
        alone, corrected = p_values(sums, len(observations.names))
        tests = zip(candidates, alone.tolist(), corrected.tolist(), strict=True)
        tested = [ErrorFinding(*test, cells) for test in tests]
        large = [finding for finding in tested if _is_large(finding.error_slice, observations.wrong)]
        best = max(large, key=_rank, default=None)
        if best is None or not (best.is_significant or len(findings) < _FEWEST):
            break
        findings.append(best)
        cells = cells.where(~best.error_slice.rows(cells))
    return findings


def _is_large(error_slice: ErrorSlice, wrong: int) -> bool:
    return error_slice.weight > 0 and error_slice.excess > _SLIGHT * wrong


def _rank(finding: ErrorFinding) -> tuple[bool, bool, float]:
    return finding.is_significant, finding.p_alone <= LEVEL, finding.error_slice.weight
