"""Sentences on the findings."""

from __future__ import annotations

import numpy as np

from lightseg.explanation.collect import Observations
from lightseg.explanation.findings import ErrorFinding
from lightseg.explanation.slices import SIZE
from lightseg.metrics.formatting import format_p_value, percent

_APART = ", apart from the above"
"""Suffix of numbers without the cells of the findings before."""


def sentence(finding: ErrorFinding, observations: Observations) -> str:
    """Return a sentence such as `star: 97.1 % of its pixels in the left half are missed, 3.9 % in the right half`."""
    error_slice = finding.error_slice
    if error_slice.label >= len(observations.classes):
        return _false_alarms(finding, observations)
    name = observations.classes[error_slice.label] + (_APART if _is_remainder(finding, observations) else "")
    others = "of other classes" + (_APART if _is_remainder(finding, observations, of_others=True) else "")
    rate, other_rate = f"{percent(error_slice.rate)} %", f"{percent(error_slice.other_rate)} %"
    subject = f"{rate} of its {observations.unit}"
    confusion = _main_confusion(finding, observations)
    if error_slice.kind == "missed" and observations.kind == "classification":
        return f"{name}: {subject} are missed, {other_rate} {others}{confusion}"
    if error_slice.kind == "missed":
        objects = _objects(finding, observations)
        return f"{name}: {subject} are in objects that are missed whole{objects}, {other_rate} {others}"
    if error_slice.kind == "confusion":
        predicted = observations.classes[error_slice.level]
        expected = f"where {other_rate} were to be expected by how often {predicted} is predicted"
        return f"{name}: {subject} are predicted as {predicted}, {expected}"
    assert error_slice.division is not None, "a finding of kind slice has a division"
    division, level = error_slice.division, error_slice.level
    inside, outside = division.levels[level], division.others[level]
    if observations.kind == "classification":
        return f"{name}: {rate} are missed {inside}, {other_rate} {outside}{confusion}"
    return f"{name}: {subject} {inside} are missed, {other_rate} {outside}{confusion}{_objects(finding, observations)}"


def _false_alarms(finding: ErrorFinding, observations: Observations) -> str:
    """Return a sentence such as `car: 9.1 % of the pixels without it in dark images are false alarms`."""
    error_slice = finding.error_slice
    name = _class_name(error_slice.label, observations) + (_APART if _is_remainder(finding, observations) else "")
    subject = f"{percent(error_slice.rate)} % of the {observations.unit} without it"
    other_rate, division = f"{percent(error_slice.other_rate)} %", error_slice.division
    if division:
        place, others = f" {division.levels[error_slice.level]}", division.others[error_slice.level]
        if observations.kind == "classification":
            # the levels are of images, too
            return f"{name}: {subject} are false alarms{place}, {other_rate} {others}"
        return f"{name}: {subject}{place} are false alarms, {other_rate} {others}"
    others = "of other classes" + (_APART if _is_remainder(finding, observations, of_others=True) else "")
    kind = "in objects that are invented whole" if observations.kind == "segmentation" else "false alarms"
    return f"{name}: {subject} are {kind}, {other_rate} {others}"


def _class_name(choice: int, observations: Observations) -> str:
    """Return the name of a class, or of the one whose absence it is."""
    return observations.classes[choice % len(observations.classes)]


def evidence(finding: ErrorFinding, observations: Observations) -> str:
    """Return the extent of a finding and its significance."""
    error_slice = finding.error_slice
    excess, share = round(error_slice.excess), percent(error_slice.excess / observations.wrong)
    images = len(np.unique(observations.cells["image"][observations.cells["truth"] == error_slice.label]))
    relation = "with"
    if error_slice.label >= len(observations.classes):
        relation = "with pixels without" if observations.kind == "segmentation" else "without"
    reference = "than were to be expected" if error_slice.kind == "confusion" else "than at the rate elsewhere"
    doubt = "" if finding.is_significant else ": may be chance"
    return " · ".join(
        (
            f"{excess:,} wrong {observations.unit} more {reference}, {share} % of all errors",
            f"{images:,} images {relation} {_class_name(error_slice.label, observations)}",
            f"{format_p_value(finding.p)}, corrected for all that was looked at{doubt}",
        )
    )


def _is_remainder(finding: ErrorFinding, observations: Observations, of_others: bool = False) -> bool:
    """Return whether earlier findings contain cells of its class, or of the other classes."""
    label = finding.error_slice.label
    peers = (observations.peers(cells, label) for cells in (finding.cells, observations.cells))
    remaining, total = (cells["count"][(cells["truth"] != label) == of_others].sum() for cells in peers)
    return bool(remaining < total)


def _main_confusion(finding: ErrorFinding, observations: Observations) -> str:
    """Return the most frequent prediction of its errors, as the end of a sentence; classes that overlap have none."""
    if observations.labels:
        return ""
    error_slice = finding.error_slice
    is_wrong = finding.cells["prediction"] != error_slice.label
    cells = finding.cells.where(error_slice.rows(finding.cells) & is_wrong)
    if not len(cells):
        return ""
    counts = cells.sums(prediction=len(observations.classes))
    label = int(np.argmax(counts))
    share = percent(counts[label] / counts.sum(), 0)
    return f"; {share} % of the missed ones are predicted as {observations.classes[label]}"


def _objects(finding: ErrorFinding, observations: Observations) -> str:
    """Return the number of missed objects; nothing after earlier findings on the class, since it is undefined then."""
    error_slice, objects = finding.error_slice, observations.objects
    if objects is None or _is_remainder(finding, observations):
        return ""
    mask = objects["truth"] == error_slice.label
    division = error_slice.division
    if division:
        mask &= objects[division.name] == error_slice.level
    missed, number = int(objects["missed"][mask].sum()), int(mask.sum())
    if division is None:
        return f" ({missed:,} of {number:,} objects)"
    subject = f"{number:,} objects {division.levels[error_slice.level]}"
    if division == SIZE:
        subject = f"these {number:,} objects"
    return f"; {missed:,} of {subject} are missed whole" if missed else ""
