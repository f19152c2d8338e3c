"""All that could be said of where a class is missed: at a place, a size, a light, for another class, whole objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightseg.explanation.collect import Observations
from lightseg.explanation.error_types import MISSED
from lightseg.explanation.significance import difference
from lightseg.explanation.slices import FACETS, Slice
from lightseg.explanation.table import Floats, Ints, Table

_FAIR = 0.1
"""A level with a smaller share of a class says little of it."""


@dataclass(frozen=True)
class ErrorSlice:
    """Concentration of errors of one class, as far as there is one.

    Attributes:
        kind: `facet`: it is missed more often at one level of a facet than at the others. `confusion`: it is said to be
            another class more often than if its errors fell on classes as often as those are predicted. `missed`: more
            of it than of the other classes is in objects of which nearly nothing is found; or, of a classification, is
            missed.
        label: The class.
        level: Of the facet; or the other class; of no meaning for `missed`.
        size: Pixels (or images) that it is about.
        wrong: How many of them are wrong in this way.
        rest: The share that is wrong elsewhere, or by expectation.
        images: The images that hold something of it, int64 `(M,)`.
        parts: What each of them adds to `rate - rest`, float64 `(M,)`.
        facet: What the class was divided by.
        lowest: Of a confusion, and of what is missed, the lowest rate at any level of any facet: what is wrong with a
            class as a whole is wrong everywhere.
    """

    kind: Literal["facet", "confusion", "missed"]
    label: int
    level: int
    size: int
    wrong: int
    rest: float
    images: Ints
    parts: Floats
    facet: Slice | None = None
    lowest: float = 1.0

    @property
    def rate(self) -> float:
        """Return the share that is wrong."""
        return self.wrong / self.size

    @property
    def excess(self) -> float:
        """Return how many more are wrong than if the rate was that of the rest."""
        return self.size * (self.rate - self.rest)

    @property
    def weight(self) -> float:
        """Return the rank of a finding: its excess times the difference of the rates, the lowest one for a whole class.

        So the sharper of two descriptions of the same errors comes before the wider one. It is n (p - p0)², the square
        of a quality function of subgroup discovery.

        Source: Klösgen 1996, "Explora: a multipattern and multistrategy discovery assistant", in *Advances in Knowledge
        Discovery and Data Mining*.
        """
        return self.size * max(0.0, min(self.rate, self.lowest) - self.rest) ** 2

    def rows(self, table: Table) -> npt.NDArray[np.bool_]:
        """Return the rows of cells that it is about; of a confusion, and of missed objects, the wrong ones."""
        if self.facet:
            chosen = table[self.facet.name] == self.level
        else:
            chosen = _is_missed(table) if self.kind == "missed" else table["prediction"] == self.level
        return np.asarray(chosen & (table["truth"] == self.label))


def error_slices(statistics: Observations, cells: Table) -> list[ErrorSlice]:
    """All that there are.

    Args:
        statistics: What was said about a split.
        cells: Those of its cells that are not explained yet.
    """
    slices: list[ErrorSlice] = []
    for label in range(len(statistics.classes)):
        of_class = cells.where(cells["truth"] == label)
        if len(of_class):
            slices += _of_facets(of_class, label, FACETS[statistics.kind])
            slices += _of_confusions(of_class, label, statistics.confusion.sum(0), FACETS[statistics.kind])
            slices += _of_missed(cells, label, FACETS[statistics.kind])
    return slices


def _of_facets(of_class: Table, label: int, facets: tuple[Slice, ...]) -> Iterator[ErrorSlice]:
    images, of_class = _compact(of_class.with_column("wrong", (of_class["prediction"] != label).astype(np.int64)))
    for facet in facets:
        counts = of_class.sums(image=len(images), wrong=2, **{facet.name: len(facet.levels)})
        for level in range(len(facet.levels)):
            inside = counts[:, :, level]
            yield from _between("facet", label, level, images, inside, counts.sum(2) - inside, facet)


def _of_missed(cells: Table, label: int, facets: tuple[Slice, ...]) -> Iterator[ErrorSlice]:
    """Yield the class against all others."""
    missed, of_class = _is_missed(cells), cells["truth"] == label
    images, cells = _compact(cells.with_column("wrong", missed.astype(np.int64)))
    counts = cells.with_column("own", of_class.astype(np.int64)).sums(image=len(images), wrong=2, own=2)
    lowest = _lowest(cells.where(of_class), missed[of_class], facets)
    for each in _between("missed", label, 0, images, counts[..., 1], counts[..., 0]):
        yield replace(each, lowest=lowest)


def _between(
    kind: Literal["facet", "missed"],
    label: int,
    level: int,
    images: Ints,
    inside: Ints,
    outside: Ints,
    facet: Slice | None = None,
) -> Iterator[ErrorSlice]:
    """Yield the slice of right and wrong pixels of each image, inside and outside, `(M, 2)` each, if there is one."""
    size, wrong = inside.sum(), inside[:, 1].sum()
    if size and outside.sum():
        parts = difference(np.stack([inside[:, 1], outside[:, 1]], 1), np.stack([inside.sum(1), outside.sum(1)], 1))
        rest = outside[:, 1].sum() / outside.sum()
        yield ErrorSlice(kind, label, level, int(size), int(wrong), float(rest), images, parts, facet)


def _of_confusions(of_class: Table, label: int, predicted: Ints, facets: tuple[Slice, ...]) -> Iterator[ErrorSlice]:
    """Yield the class against each other one that it is taken for, where there are more than one."""
    images, of_class = _compact(of_class)
    others = of_class["prediction"] != label
    missed, size = of_class.where(others).sums(image=len(images)), int(of_class["count"].sum())
    frequency = predicted.sum() - predicted[label]
    for label_predicted in np.unique(of_class["prediction"][others]).tolist():
        is_confused, expected = of_class["prediction"] == label_predicted, predicted[label_predicted] / frequency
        if expected < 1:
            per_image_counts = of_class.where(is_confused).sums(image=len(images))
            parts, rest = (per_image_counts - expected * missed) / size, float(expected * missed.sum() / size)
            lowest = _lowest(of_class, is_confused, facets)
            yield ErrorSlice(
                "confusion",
                label,
                label_predicted,
                size,
                int(per_image_counts.sum()),
                rest,
                images,
                parts,
                None,
                lowest,
            )


def _is_missed(table: Table) -> npt.NDArray[np.bool_]:
    """Return the rows in objects of which nearly nothing is found; of a classification, those that are wrong."""
    if "part" in table.columns:
        return np.asarray(table["part"] == MISSED)
    return np.asarray(table["truth"] != table["prediction"])


def _lowest(of_class: Table, chosen: npt.NDArray[np.bool_], facets: tuple[Slice, ...]) -> float:
    """Return the lowest share of rows that are chosen, of all levels that a fair part of a class is at."""
    rates = [1.0]
    table = of_class.with_column("chosen", chosen.astype(np.int64))
    for facet in facets:
        counts = table.sums(**{facet.name: len(facet.levels), "chosen": 2})
        fair = counts.sum(1) > _FAIR * counts.sum()
        rates += (counts[fair, 1] / counts[fair].sum(1)).tolist()
    return min(rates)


def _compact(table: Table) -> tuple[Ints, Table]:
    """Return the images that have rows, and the table with their places among these."""
    images, places = np.unique(table["image"], return_inverse=True)
    return images, table.with_column("image", places)
