"""Sentences on the findings."""

from __future__ import annotations

import numpy as np

from lightseg.comparison.text import chance, percent
from lightseg.explanation.collect import Observations
from lightseg.explanation.findings import Finding
from lightseg.explanation.slices import SIZE

_APART = ", apart from the above"
"""Said of numbers that leave out what the findings before are about."""


def sentence(found: Finding, seen: Observations) -> str:
    """Return what a finding is: `star: 97.1 % of its pixels in the left half are missed, 3.9 % in the right half`."""
    what = found.what
    name = seen.classes[what.label] + (_APART if _is_remainder(found, seen) else "")
    others = "of other classes" + (_APART if _is_remainder(found, seen, of_others=True) else "")
    rate, rest = f"{percent(what.rate)} %", f"{percent(what.rest)} %"
    its = f"{rate} of its {seen.unit}"
    if what.kind == "missed" and seen.kind == "classification":
        return f"{name}: {its} are missed, {rest} {others}{_taken_for(found, seen)}"
    if what.kind == "missed":
        return f"{name}: {its} are in objects that are missed whole{_objects(found, seen)}, {rest} {others}"
    if what.kind == "confusion":
        other = seen.classes[what.level]
        expected = f"where {rest} were to be expected by how often {other} is predicted"
        return f"{name}: {its} are predicted as {other}, {expected}"
    assert what.facet is not None, "only a facet is left"
    where, elsewhere = what.facet.levels[what.level], what.facet.others[what.level]
    if seen.kind == "classification":
        return f"{name}: {rate} are missed {where}, {rest} {elsewhere}{_taken_for(found, seen)}"
    said = f"{name}: {its} {where} are missed, {rest} {elsewhere}"
    return f"{said}{_taken_for(found, seen)}{_objects(found, seen)}"


def evidence(found: Finding, seen: Observations) -> str:
    """Return how much it is, and how sure."""
    what = found.what
    excess, share = round(what.excess), percent(what.excess / seen.wrong)
    images = len(np.unique(seen.cells["image"][seen.cells["truth"] == what.label]))
    other = "than were to be expected" if what.kind == "confusion" else "than at the rate elsewhere"
    return " · ".join(
        (
            f"{excess:,} wrong {seen.unit} more {other}, {share} % of all errors",
            f"{images:,} images with {seen.classes[what.label]}",
            f"{chance(found.p)}, corrected for all that was looked at{'' if found.holds else ': may be chance'}",
        )
    )


def _is_remainder(found: Finding, seen: Observations, of_others: bool = False) -> bool:
    """Return whether the findings before it are about a part of its class, or of the others."""
    left, whole = (
        cells["count"][(cells["truth"] != found.what.label) == of_others].sum() for cells in (found.cells, seen.cells)
    )
    return bool(left < whole)


def _taken_for(found: Finding, seen: Observations) -> str:
    """Return what most of its errors are."""
    what = found.what
    cells = found.cells.where(what.rows(found.cells) & (found.cells["prediction"] != what.label))
    if not len(cells):
        return ""
    said = cells.sums(prediction=len(seen.classes))
    most = int(np.argmax(said))
    return f"; {percent(said[most] / said.sum(), 0)} % of the missed ones are predicted as {seen.classes[most]}"


def _objects(found: Finding, seen: Observations) -> str:
    """Return how many of the objects are not found; of a part of them, that is not known."""
    what = found.what
    if seen.objects is None or _is_remainder(found, seen):
        return ""
    chosen = seen.objects["truth"] == what.label
    if what.facet:
        chosen &= seen.objects[what.facet.name] == what.level
    missed, number = int(seen.objects["missed"][chosen].sum()), int(chosen.sum())
    if what.facet is None:
        return f" ({missed:,} of {number:,} objects)"
    those = f"{number:,} objects {what.facet.levels[what.level]}" if what.facet != SIZE else f"these {number:,} objects"
    return f"; {missed:,} of {those} are missed whole" if missed else ""
