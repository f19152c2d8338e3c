"""Confusion matrix as a table whose cells are the darker, the larger they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lightseg.visualization.html.markup import escape, scroller

_PRINTED = 12
"""Up to so many classes the numbers are written into the cells."""

_LABELLED = 40
"""Beyond so many classes the cells are too small for names beside them, and empty ones say nothing."""

_VISIBLE = 0.005
"""A smaller share is rounded to 0 %."""

_DEEP = 0.8
"""On a larger share the number is white."""


def matrix(classes: Sequence[str], counts: npt.NDArray[np.int64], label: str) -> str:
    """Return the matrix in a box of its own, each row in shares of its class.

    Args:
        classes: The C class names.
        counts: Truth × prediction, `(C, C)`.
        label: What it is the matrix of.
    """
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    size = "printed" if len(classes) <= _PRINTED else "labelled" if len(classes) <= _LABELLED else "dense"
    head = "".join(f'<th scope="col"><span>{escape(each)}</span></th>' for each in classes)
    rows = "".join(
        f'<tr><th scope="row">{escape(each)}</th>{"".join(_cells(classes, row, shares[row], size))}</tr>'
        for row, each in enumerate(classes)
    )
    return scroller(
        f"Confusion matrix of {label}",
        f'<table class="matrix {size}" data-row="{len(classes)}" aria-label="Confusion matrix of {escape(label)}; '
        f'the arrow keys go through it"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>',
    )


def _cells(classes: Sequence[str], row: int, shares: npt.NDArray[np.float64], size: str) -> Iterator[str]:
    for column, share in enumerate(shares):
        if size == "dense" and share < _VISIBLE:
            yield "<td></td>"
            continue
        tip = escape(f"{classes[row]} predicted as {classes[column]}: {100 * share:.1f} %")
        deep = ' class="deep"' if share > _DEEP else ""
        text = f"{100 * share:.0f}" if size == "printed" else ""
        yield f'<td{deep} style="--share:{100 * share:.0f}%" title="{tip}">{text}</td>'
