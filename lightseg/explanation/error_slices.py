"""Candidate descriptions of the errors of a class: by place, size or light, a confusion, or missed objects.

Of classes that may overlap, the absence of a class is one, too, whose errors are false alarms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightseg.explanation.collect import Observations
from lightseg.explanation.error_types import INVENTED, MISSED
from lightseg.explanation.significance import rate_difference
from lightseg.explanation.slices import SIZE, SLICES, Slice
from lightseg.explanation.table import Table
from lightseg.metrics.scores import Floats, Integers

Kind = Literal["slice", "confusion", "missed", "invented"]

_OBJECTS = {"missed": MISSED, "invented": INVENTED}
"""Error type of the kinds that are of entire objects."""

_FAIR = 0.1
"""Least share of a class at a level whose rate is considered."""


@dataclass(frozen=True)
class ErrorSlice:
    """Concentration of errors of one class, as far as there is one.

    Attributes:
        kind: `slice`: the class is missed more often at one level of a slice than at the others. `confusion`: it is
            predicted as another class more often than if its errors were distributed as the predictions of the others.
            `missed`: more of it than of the other classes is in missed objects; of a classification, is missed.
            `invented`: of the absence of the class, more than of that of other classes is in invented objects; of a
            classification, is a false alarm.
        label: The class, or its absence: see `explanation.cells`.
        level: Level of the slice; or the other class of a confusion; unused for `missed` and `invented`.
        size: Number of pixels (or images).
        wrong: Number of pixels (or images) that are wrong in this way.
        other_rate: The share that is wrong elsewhere, or by expectation.
        images: Indices of the images with pixels of it, int64 `(M,)`.
        parts: Contribution of each image to `rate - other_rate`, float64 `(M,)`.
        division: The property that divides the class; None for the other kinds than `slice`.
        lowest: Lowest rate at any level of any slice, for the other kinds than `slice`: an error of the class in
            general occurs at every level.
    """

    kind: Kind
    label: int
    level: int
    size: int
    wrong: int
    other_rate: float
    images: Integers
    parts: Floats
    division: Slice | None = None
    lowest: float = 1.0

    @property
    def rate(self) -> float:
        """Return the share that is wrong."""
        return self.wrong / self.size

    @property
    def excess(self) -> float:
        """Return the number of wrong pixels beyond the rate of the rest."""
        return self.size * (self.rate - self.other_rate)

    @property
    def weight(self) -> float:
        """Return the rank: excess times difference of the rates, with the lowest rate for a class in general.

        So the narrower of two descriptions of the same errors ranks before the wider one. It is n (p - p0)², the square
        of a quality function of subgroup discovery.

        Source: Klösgen 1996, "Explora: a multipattern and multistrategy discovery assistant", in *Advances in Knowledge
        Discovery and Data Mining*.
        """
        return self.size * max(0.0, min(self.rate, self.lowest) - self.other_rate) ** 2

    def rows(self, table: Table) -> npt.NDArray[np.bool_]:
        """Return the mask of its cells, bool `(M,)`; of other kinds than `slice`, only the wrong ones."""
        if self.division:
            mask = table[self.division.name] == self.level
        else:
            mask = _is_entire(table, self.kind) if self.kind in _OBJECTS else table["prediction"] == self.level
        return np.asarray(mask & (table["truth"] == self.label))


def error_slices(observations: Observations, cells: Table) -> list[ErrorSlice]:
    """Return all candidates.

    Args:
        observations: Statistics of a split.
        cells: Its cells without those of earlier findings.
    """
    candidates: list[ErrorSlice] = []
    slices = SLICES[observations.kind]
    # no objects have a size where a class is absent
    slices_of_absence = tuple(division for division in slices if division != SIZE)
    for label in range(observations.num_choices):
        is_absence = label >= len(observations.classes)
        class_cells = cells.where(cells["truth"] == label)
        if len(class_cells):
            fitting = slices_of_absence if is_absence else slices
            candidates += _by_slice(class_cells, label, fitting)
            if not observations.labels:
                candidates += _confusions(class_cells, label, observations.confusion.sum(0), slices)
            kind: Literal["missed", "invented"] = "invented" if is_absence else "missed"
            candidates += _entire_objects(kind, observations.peers(cells, label), label, fitting)
    return candidates


def _by_slice(cells: Table, label: int, slices: tuple[Slice, ...]) -> Iterator[ErrorSlice]:
    """Yield each level of each slice of a class against its other levels."""
    images, cells = _compact(cells.with_column("wrong", (cells["prediction"] != label).astype(np.int64)))
    for division in slices:
        counts = cells.sums(image=len(images), wrong=2, **{division.name: len(division.levels)})
        for level in range(len(division.levels)):
            inside = counts[:, :, level]
            yield from _compare("slice", label, level, images, inside, counts.sum(2) - inside, division)


def _entire_objects(
    kind: Literal["missed", "invented"], cells: Table, label: int, slices: tuple[Slice, ...]
) -> Iterator[ErrorSlice]:
    """Yield the missed cells of a class, or the invented ones of its absence, against those of all other classes."""
    is_wrong, is_class = _is_entire(cells, kind), cells["truth"] == label
    images, compact = _compact(cells.with_column("wrong", is_wrong.astype(np.int64)))
    counts = compact.with_column("class", is_class.astype(np.int64)).sums(image=len(images), wrong=2, **{"class": 2})
    lowest = _lowest_rate(cells.where(is_class), is_wrong[is_class], slices)
    for candidate in _compare(kind, label, 0, images, counts[..., 1], counts[..., 0]):
        yield replace(candidate, lowest=lowest)


def _compare(
    kind: Kind,
    label: int,
    level: int,
    images: Integers,
    inside: Integers,
    outside: Integers,
    division: Slice | None = None,
) -> Iterator[ErrorSlice]:
    """Yield the candidate of right and wrong pixels of each image, inside and outside, `(M, 2)` each, if possible."""
    size, wrong = inside.sum(), inside[:, 1].sum()
    if size and outside.sum():
        sizes = np.stack([inside.sum(1), outside.sum(1)], 1)
        parts = rate_difference(np.stack([inside[:, 1], outside[:, 1]], 1), sizes)
        other_rate = outside[:, 1].sum() / outside.sum()
        yield ErrorSlice(kind, label, level, int(size), int(wrong), float(other_rate), images, parts, division)


def _confusions(cells: Table, label: int, predictions: Integers, slices: tuple[Slice, ...]) -> Iterator[ErrorSlice]:
    """Yield the confusions of a class with each other class, if it is confused with more than one.

    Args:
        cells: Cells of the class.
        label: The class.
        predictions: Number of predictions of each class, `(C,)`.
        slices: The slices of the kind of task.
    """
    images, cells = _compact(cells)
    is_wrong = cells["prediction"] != label
    missed, size = cells.where(is_wrong).sums(image=len(images)), int(cells["count"].sum())
    total = predictions.sum() - predictions[label]
    for predicted in np.unique(cells["prediction"][is_wrong]).tolist():
        is_confused, expected = cells["prediction"] == predicted, predictions[predicted] / total
        if expected < 1:
            wrong = cells.where(is_confused).sums(image=len(images))
            parts, other_rate = (wrong - expected * missed) / size, float(expected * missed.sum() / size)
            lowest = _lowest_rate(cells, is_confused, slices)
            yield ErrorSlice(
                "confusion", label, predicted, size, int(wrong.sum()), other_rate, images, parts, lowest=lowest
            )


def _is_entire(table: Table, kind: Kind) -> npt.NDArray[np.bool_]:
    """Return the rows in missed or invented objects, bool `(M,)`; of a classification, those that are wrong."""
    if "part" in table.columns:
        return np.asarray(table["part"] == _OBJECTS[kind])
    return np.asarray(table["truth"] != table["prediction"])


def _lowest_rate(cells: Table, mask: npt.NDArray[np.bool_], slices: tuple[Slice, ...]) -> float:
    """Return the lowest share of cells in a mask, over all levels with a fair part of the class."""
    rates = [1.0]
    table = cells.with_column("mask", mask.astype(np.int64))
    for division in slices:
        counts = table.sums(**{division.name: len(division.levels), "mask": 2})
        is_fair = counts.sum(1) > _FAIR * counts.sum()
        rates += (counts[is_fair, 1] / counts[is_fair].sum(1)).tolist()
    return min(rates)


def _compact(table: Table) -> tuple[Integers, Table]:
    """Return the indices of the images with rows, and the table with positions in these indices."""
    images, positions = np.unique(table["image"], return_inverse=True)
    return images, table.with_column("image", positions)
