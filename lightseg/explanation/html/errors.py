"""All errors in parts that add up: by what they are, by the size of the object, by the light."""

from __future__ import annotations

import numpy as np

from lightseg.comparison.text import percent
from lightseg.explanation.collect import Observations
from lightseg.explanation.error_types import NOTHING, PARTS, RIGHT
from lightseg.explanation.slices import LIGHT
from lightseg.explanation.table import Ints
from lightseg.metrics.boundary_iou import WIDTH
from lightseg.metrics.object_recall import LIMITS, SIZES
from lightseg.visualization.html.markup import escape, table

_MEANINGS = {
    "boundary": f"within {100 * WIDTH:g} % of the image's diagonal of a boundary of the truth",
    "missed object": f"in a true object of which less than {100 * NOTHING:g} % is found",
    "invented object": f"in a predicted object of which less than {100 * NOTHING:g} % is right, beyond a boundary",
    "interior": "the rest",
}


def errors(stats: Observations) -> str:
    """Tables whose rows add up to all that is wrong."""
    if stats.kind == "classification":
        return "".join(_by_light(stats, facet.name, len(facet.levels)) for facet in LIGHT)
    return _by_part(stats) + _by_class(stats) + _by_size(stats)


def _by_part(stats: Observations) -> str:
    counts = stats.cells.sums(part=len(PARTS))
    rows = [
        [_name(part, _MEANINGS[part]), _count(counts[at]), _share(counts[at], stats.wrong)]
        for at, part in enumerate(PARTS)
        if at != RIGHT
    ]
    wrong = int(counts.sum() - counts[RIGHT])
    return table(
        "Wrong pixels by what they are; the first that holds, from missed objects on",
        _head("Part", "Wrong pixels", "Share of all errors"),
        [*rows, _sum(stats, wrong)],
        "sums",
    ) + _check(stats, wrong)


def _check(stats: Observations, wrong: int) -> str:
    return (
        '<p class="hint">Every wrong pixel is in one part: missed object before invented object before boundary before '
        f"interior. Together {wrong:,}; off the diagonal of the confusion matrix there are {stats.wrong:,}.</p>"
    )


def _by_class(stats: Observations) -> str:
    counts = stats.cells.sums(truth=len(stats.classes), part=len(PARTS))
    columns = [at for at in range(len(PARTS)) if at != RIGHT]
    rows = [
        [
            _name(name),
            *[_count(counts[label, at]) for at in columns],
            _share(int(counts[label].sum() - counts[label, RIGHT]), int(counts[label].sum())),
        ]
        for label, name in enumerate(stats.classes)
    ]
    titles = [PARTS[at].capitalize() for at in columns]
    return "<h3>Wrong pixels by true class</h3>" + table(
        "Wrong pixels of each true class", _head("Class", *titles, "Wrong of the class"), rows, "sums"
    )


def _by_size(stats: Observations) -> str:
    counts = _wrong_by(stats, "size", len(SIZES))
    assert stats.objects is not None, "there are objects in a segmentation"
    objects = stats.objects.sums(size=len(SIZES), missed=2)
    limits = [f"below {LIMITS[0]:,} pixels", f"below {LIMITS[1]:,}", "the rest"]
    rows = [
        [
            _name(size, limits[at]),
            _count(counts[at, 1]),
            _share(counts[at, 1], stats.wrong),
            _share(counts[at, 1], counts[at].sum()),
            f'<td class="number">{objects[at, 1]:,} of {objects[at].sum():,}</td>',
        ]
        for at, size in enumerate(SIZES)
    ]
    missed, number = objects[:, 1].sum(), objects.sum()
    total = [*_sum(stats, int(counts[:, 1].sum())), _share(stats.wrong, counts.sum())]
    total.append(f'<td class="number">{missed:,} of {number:,}</td>')
    return "<h3>By the size of the true object</h3>" + table(
        "Wrong pixels by the size of the true object, which is a connected region of a class",
        _head("Object", "Wrong pixels", "Share of all errors", "Wrong of its pixels", "Objects missed whole"),
        [*rows, total],
        "sums",
    )


def _by_light(stats: Observations, name: str, levels: int) -> str:
    counts = _wrong_by(stats, name, levels)
    rows = [
        [
            _name(level),
            _count(counts[at, 1]),
            _share(counts[at, 1], stats.wrong),
            _share(counts[at, 1], counts[at].sum()),
        ]
        for at, level in enumerate(("lowest third", "middle third", "highest third"))
    ]
    total = [*_sum(stats, int(counts[:, 1].sum())), _share(stats.wrong, counts.sum())]
    return f"<h3>By {name}</h3>" + table(
        f"Wrong images by {name}",
        _head("Images", "Wrong", "Share of all errors", "Wrong of these images"),
        [*rows, total],
        "sums",
    )


def _wrong_by(stats: Observations, name: str, levels: int) -> Ints:
    """Right and wrong ones at each level, int64 `(L, 2)`."""
    wrong = (stats.cells["truth"] != stats.cells["prediction"]).astype(np.int64)
    return stats.cells.with_column("wrong", wrong).sums(**{name: levels, "wrong": 2})


def _head(first: str, *numbers: str) -> list[str]:
    return [f'<th scope="col">{first}</th>', *[f'<th scope="col" class="number">{each}</th>' for each in numbers]]


def _name(name: str, meaning: str = "") -> str:
    return f'<th scope="row">{escape(name)}{f" <small>{meaning}</small>" if meaning else ""}</th>'


def _count(value: int) -> str:
    return f'<td class="number">{value:,}</td>'


def _share(part: int, total: int) -> str:
    return f'<td class="number">{f"{percent(part / total)} %" if total else "–"}</td>'


def _sum(stats: Observations, wrong: int) -> list[str]:
    return ['<th scope="row">together</th>', _count(wrong), _share(wrong, stats.wrong)]
