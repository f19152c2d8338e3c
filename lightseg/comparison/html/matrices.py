"""Confusion matrices of the groups, side by side, row by row in shares of the true class."""

from __future__ import annotations

import numpy as np

from lightseg.comparison.html.markup import name
from lightseg.comparison.results import Comparison, Group
from lightseg.errors import UserError
from lightseg.files.atomic import require_regular
from lightseg.files.printable import printable
from lightseg.metrics.scores import Integers
from lightseg.visualization.html.markup import escape
from lightseg.visualization.html.matrix import matrix


def matrices(comparison: Comparison) -> str:
    """Return the matrices side by side."""
    blocks = []
    for index, group in enumerate(comparison.groups):
        counts = _counts(group, comparison.split, len(comparison.classes))
        if isinstance(counts, str):
            content = f'<p class="missing">{escape(printable(counts))}</p>'
        else:
            content = matrix(comparison.classes, counts, group.label)
        blocks.append(f"<figure><figcaption>{name(comparison, index)}</figcaption>{content}</figure>")
    unit = "pixels" if comparison.kind == "segmentation" else "images"
    return (
        f'<p class="hint">Rows are the truth, columns the prediction, in % of the {unit} of the true class, over all '
        f'runs of a group.</p><div class="matrices">{"".join(blocks)}</div>'
    )


def _counts(group: Group, split: str, classes: int) -> Integers | str:
    """Return the sum over the runs of a group, int64 `(C, C)`; or what is wrong with a file."""
    total: Integers = np.zeros((classes, classes), np.int64)
    for run in group.runs:
        path = run.folder / f"confusion_{split}.csv"
        try:
            require_regular(path)
            total += np.loadtxt(path, np.int64, delimiter=",", skiprows=1).reshape(classes, classes)
        except UserError as error:
            return str(error)
        except OSError:
            return f"{path} is missing."
        except ValueError:
            return f"{path} is damaged."
    return total
