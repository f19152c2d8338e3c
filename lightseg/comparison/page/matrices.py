"""How each class was predicted: a confusion matrix of each group, row by row in shares of the true class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lightseg.comparison.page.markup import escape, name, scroller
from lightseg.comparison.results import Comparison, Floats, Group
from lightseg.per_image import Counts

_PRINTED = 12
"""Up to so many classes the numbers are written into the cells."""

_LABELLED = 40
"""Beyond so many classes the cells are too small for names beside them, and empty ones say nothing."""

_VISIBLE = 0.005
"""A smaller share is rounded to 0 %."""

_DEEP = 0.8
"""On a larger share the number is white."""


def matrices(comparison: Comparison) -> str:
    """The matrices side by side."""
    drawn = []
    for index, group in enumerate(comparison.groups):
        counts = _counts(group, comparison.split, len(comparison.classes))
        if isinstance(counts, str):
            content = f'<p class="missing">{escape(counts)}</p>'
        else:
            content = scroller(f"Confusion matrix of {group.label}", _matrix(comparison.classes, counts, group.label))
        drawn.append(f"<figure><figcaption>{name(comparison, index)}</figcaption>{content}</figure>")
    unit = "pixels" if comparison.kind == "segmentation" else "images"
    return (
        f'<p class="hint">Rows are the truth, columns the prediction, in % of the {unit} of the true class, over all '
        f'runs of a group.</p><div class="matrices">{"".join(drawn)}</div>'
    )


def _counts(group: Group, split: str, classes: int) -> Counts | str:
    """The sum over the runs of a group, int64 `(C, C)`; or what is wrong with a file."""
    total: Counts = np.zeros((classes, classes), np.int64)
    for run in group.runs:
        path = run.folder / f"confusion_{split}.csv"
        try:
            total += np.loadtxt(path, np.int64, delimiter=",", skiprows=1).reshape(classes, classes)
        except OSError:
            return f"{path} is missing."
        except ValueError:
            return f"{path} is damaged."
    return total


def _matrix(classes: Sequence[str], counts: Counts, label: str) -> str:
    shares: Floats = counts / counts.sum(1, keepdims=True).clip(1)
    size = "printed" if len(classes) <= _PRINTED else "labelled" if len(classes) <= _LABELLED else "dense"
    head = "".join(f'<th scope="col"><span>{escape(each)}</span></th>' for each in classes)
    rows = "".join(
        f'<tr><th scope="row">{escape(each)}</th>{"".join(_cells(classes, row, shares[row], size))}</tr>'
        for row, each in enumerate(classes)
    )
    return (
        f'<table class="matrix {size}" data-row="{len(classes)}" aria-label="Confusion matrix of {escape(label)}; '
        f'the arrow keys go through it"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _cells(classes: Sequence[str], row: int, shares: Floats, size: str) -> Iterator[str]:
    for column, share in enumerate(shares):
        if size == "dense" and share < _VISIBLE:
            yield "<td></td>"
            continue
        tip = escape(f"{classes[row]} predicted as {classes[column]}: {100 * share:.1f} %")
        deep = ' class="deep"' if share > _DEEP else ""
        text = f"{100 * share:.0f}" if size == "printed" else ""
        yield f'<td{deep} style="--share:{100 * share:.0f}%" title="{tip}">{text}</td>'
