"""Confusion matrices of the groups, each row in shares of the true class."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from lightseg.comparison.html.groups import group_names
from lightseg.comparison.results import Comparison, Group
from lightseg.errors import UserError
from lightseg.files.atomic import require_regular
from lightseg.metrics.per_image import Counts
from lightseg.visualization.html import render
from lightseg.visualization.html.matrix import Matrix


def matrices(comparison: Comparison) -> Markup:
    """Render the matrices side by side; in place of one whose file is unreadable, the reason."""
    return render(
        "comparison/html/matrices.html",
        unit="pixels" if comparison.kind == "segmentation" else "images",
        matrices=[
            (name, *_matrix(comparison, group))
            for name, group in zip(group_names(comparison), comparison.groups, strict=True)
        ],
    )


def _matrix(comparison: Comparison, group: Group) -> tuple[Matrix | None, str]:
    """Return the matrix of a group, or the reason why there is none."""
    try:
        counts = _sum_counts(group, comparison.split, len(comparison.classes))
    except UserError as error:
        return None, str(error)
    return Matrix.from_counts(comparison.classes, counts, group.label), ""


def _sum_counts(group: Group, split: str, classes: int) -> Counts:
    """Return the sum over the runs of a group, int64 `(C, C)`.

    Raises:
        UserError: If a file is missing or damaged.
    """
    total: Counts = np.zeros((classes, classes), np.int64)
    for run in group.runs:
        path = run.folder / f"confusion_{split}.csv"
        try:
            require_regular(path)
            total += np.loadtxt(path, np.int64, delimiter=",", skiprows=1).reshape(classes, classes)
        except OSError as error:
            raise UserError(f"{path} is missing.") from error
        except ValueError as error:
            raise UserError(f"{path} is damaged.") from error
    return total
