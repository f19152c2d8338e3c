"""Errors divided into parts that add up: by type, by object size, by light."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from lightseg.explanation.collect import Observations
from lightseg.explanation.error_types import NOTHING, PARTS, RIGHT
from lightseg.explanation.html.tables import NumberTable, Row
from lightseg.explanation.slices import LIGHT
from lightseg.explanation.table import Table
from lightseg.metrics.boundary_iou import WIDTH
from lightseg.metrics.formatting import percent
from lightseg.metrics.object_recall import LIMITS, SIZES
from lightseg.metrics.scores import Integers
from lightseg.visualization.html import render

_WRONG_PARTS = [index for index in range(len(PARTS)) if index != RIGHT]

_MEANINGS = {
    "boundary": f"within {100 * WIDTH:g} % of the image's diagonal of a boundary of the truth",
    "missed object": f"in a true object of which less than {100 * NOTHING:g} % is found",
    "invented object": f"in a predicted object of which less than {100 * NOTHING:g} % is right, beyond a boundary",
    "interior": "the rest",
}


def errors(observations: Observations) -> Markup:
    """Render tables whose rows add up to the number of errors.

    Of classes that may overlap, those by the size of the object add up to the number of missed pixels.
    """
    counted = ""
    if observations.kind == "classification":
        tables = [_by_light(observations, light.name, len(light.levels)) for light in LIGHT]
    else:
        tables = [_by_type(observations), _by_class(observations), _by_size(observations)]
        counted = f"{observations.cells.sums(part=len(PARTS))[_WRONG_PARTS].sum():,}"
    return render("explanation/html/errors.html", observations=observations, tables=tables, counted=counted)


def _by_type(observations: Observations) -> NumberTable:
    counts = observations.cells.sums(part=len(PARTS))
    rows = [Row(PARTS[part], _error_cells(observations, counts[part]), _MEANINGS[PARTS[part]]) for part in _WRONG_PARTS]
    return NumberTable(
        "Wrong pixels by what they are; the first that holds, from missed objects on",
        ["Part", "Wrong pixels", "Share of all errors"],
        [*rows, Row("together", _error_cells(observations, counts[_WRONG_PARTS].sum()))],
    )


def _by_class(observations: Observations) -> NumberTable:
    # of classes that may overlap, those of the presence and of the absence of each class
    counts = observations.cells.sums(truth=observations.num_choices, part=len(PARTS))
    counts = counts.reshape(-1, len(observations.classes), len(PARTS)).sum(0)
    rows = []
    for name, row in zip(observations.classes, counts, strict=True):
        wrong = row[_WRONG_PARTS]
        rows.append(Row(name, [*[f"{count:,}" for count in wrong], _share(wrong.sum(), row.sum())]))
    return NumberTable(
        "Wrong pixels of each class" if observations.labels else "Wrong pixels of each true class",
        ["Class", *[PARTS[part].capitalize() for part in _WRONG_PARTS], "Wrong of the class"],
        rows,
        title="Wrong pixels by class" if observations.labels else "Wrong pixels by true class",
    )


def _by_size(observations: Observations) -> NumberTable:
    assert observations.objects is not None, "segmentations have objects"
    # where a class that may overlap others is absent, there is no object
    of_objects = observations.cells.where(observations.cells["truth"] < len(observations.classes))
    counts = _counts_by(of_objects, "size", len(SIZES))
    objects = observations.objects.sums(size=len(SIZES), missed=2)
    limits = [f"below {LIMITS[0]:,} pixels", f"below {LIMITS[1]:,}", "the rest"]
    rows = [
        Row(name, [*_rate_cells(observations, count), f"{number[1]:,} of {number.sum():,}"], limit)
        for name, count, number, limit in zip(
            [*SIZES, "together"],
            [*counts, counts.sum(0)],
            [*objects, objects.sum(0)],
            [*limits, ""],
            strict=True,
        )
    ]
    return NumberTable(
        "Wrong pixels by the size of the true object, which is a connected region of a class",
        ["Object", "Wrong pixels", "Share of all errors", "Wrong of its pixels", "Objects missed whole"],
        rows,
        title="By the size of the true object",
    )


def _by_light(observations: Observations, name: str, levels: int) -> NumberTable:
    counts = _counts_by(observations.cells, name, levels)
    names = ["lowest third", "middle third", "highest third", "together"]
    return NumberTable(
        f"Wrong images by {name}",
        ["Images", "Wrong", "Share of all errors", "Wrong of these images"],
        [
            Row(name, _rate_cells(observations, count))
            for name, count in zip(names, [*counts, counts.sum(0)], strict=True)
        ],
        title=f"By {name}",
    )


def _error_cells(observations: Observations, wrong: int) -> list[str]:
    """Format a number of errors, and its share of all errors."""
    return [f"{wrong:,}", _share(wrong, observations.wrong)]


def _rate_cells(observations: Observations, counts: Integers) -> list[str]:
    """Format the right and wrong ones, int64 `(2,)`: the errors, their share of all errors, and their rate."""
    return [*_error_cells(observations, counts[1]), _share(counts[1], counts.sum())]


def _counts_by(cells: Table, name: str, levels: int) -> Integers:
    """Count right and wrong pixels (or images) at each level of a slice, int64 `(L, 2)`."""
    wrong = (cells["truth"] != cells["prediction"]).astype(np.int64)
    return cells.with_column("wrong", wrong).sums(**{name: levels, "wrong": 2})


def _share(part: int, total: int) -> str:
    return f"{percent(part / total)} %" if total else "–"
