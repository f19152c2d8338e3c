"""Sentences on the findings."""

from __future__ import annotations

import numpy as np

from lightseg.comparison.text import chance, percent
from lightseg.explanation.collect import Observations
from lightseg.explanation.findings import Finding
from lightseg.explanation.slices import SIZE

_APART = ", apart from the above"
"""Said of numbers that leave out what the findings before are about."""


def sentence(finding: Finding, statistics: Observations) -> str:
    """Return what a finding is: `star: 97.1 % of its pixels in the left half are missed, 3.9 % in the right half`."""
    what = finding.what
    name = statistics.classes[what.label] + (_APART if _is_remainder(finding, statistics) else "")
    others = "of other classes" + (_APART if _is_remainder(finding, statistics, of_others=True) else "")
    rate, rest = f"{percent(what.rate)} %", f"{percent(what.rest)} %"
    its = f"{rate} of its {statistics.unit}"
    if what.kind == "missed" and statistics.kind == "classification":
        return f"{name}: {its} are missed, {rest} {others}{_taken_for(finding, statistics)}"
    if what.kind == "missed":
        return f"{name}: {its} are in objects that are missed whole{_objects(finding, statistics)}, {rest} {others}"
    if what.kind == "confusion":
        class_name = statistics.classes[what.level]
        expected = f"where {rest} were to be expected by how often {class_name} is predicted"
        return f"{name}: {its} are predicted as {class_name}, {expected}"
    assert what.facet is not None, "only a facet is left"
    where, elsewhere = what.facet.levels[what.level], what.facet.others[what.level]
    if statistics.kind == "classification":
        return f"{name}: {rate} are missed {where}, {rest} {elsewhere}{_taken_for(finding, statistics)}"
    text = f"{name}: {its} {where} are missed, {rest} {elsewhere}"
    return f"{text}{_taken_for(finding, statistics)}{_objects(finding, statistics)}"


def evidence(finding: Finding, statistics: Observations) -> str:
    """Return how much it is, and how sure."""
    what = finding.what
    excess, share = round(what.excess), percent(what.excess / statistics.wrong)
    images = len(np.unique(statistics.cells["image"][statistics.cells["truth"] == what.label]))
    comparison = "than were to be expected" if what.kind == "confusion" else "than at the rate elsewhere"
    return " · ".join(
        (
            f"{excess:,} wrong {statistics.unit} more {comparison}, {share} % of all errors",
            f"{images:,} images with {statistics.classes[what.label]}",
            f"{chance(finding.p)}, corrected for all that was looked at{'' if finding.holds else ': may be chance'}",
        )
    )


def _is_remainder(finding: Finding, statistics: Observations, of_others: bool = False) -> bool:
    """Return whether the findings before it are about a part of its class, or of the others."""
    remaining, total = (
        cells["count"][(cells["truth"] != finding.what.label) == of_others].sum()
        for cells in (finding.cells, statistics.cells)
    )
    return bool(remaining < total)


def _taken_for(finding: Finding, statistics: Observations) -> str:
    """Return what most of its errors are."""
    what = finding.what
    cells = finding.cells.where(what.rows(finding.cells) & (finding.cells["prediction"] != what.label))
    if not len(cells):
        return ""
    counts = cells.sums(prediction=len(statistics.classes))
    most = int(np.argmax(counts))
    return (
        f"; {percent(counts[most] / counts.sum(), 0)} % of the missed ones are predicted as {statistics.classes[most]}"
    )


def _objects(finding: Finding, statistics: Observations) -> str:
    """Return how many of the objects are not found; of a part of them, that is not known."""
    what = finding.what
    if statistics.objects is None or _is_remainder(finding, statistics):
        return ""
    chosen = statistics.objects["truth"] == what.label
    if what.facet:
        chosen &= statistics.objects[what.facet.name] == what.level
    missed, number = int(statistics.objects["missed"][chosen].sum()), int(chosen.sum())
    if what.facet is None:
        return f" ({missed:,} of {number:,} objects)"
    those = f"{number:,} objects {what.facet.levels[what.level]}" if what.facet != SIZE else f"these {number:,} objects"
    return f"; {missed:,} of {those} are missed whole" if missed else ""
