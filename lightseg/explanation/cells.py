"""Cells of single images: counts of pixels (or images) by truth, prediction and slices.

Truth and prediction are class ids. Classes that may overlap are a choice of two each, with or without the class: of C
classes, the id of one is its presence, and C + id its absence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightseg.explanation.error_types import PARTS, ErrorTypes, divide_errors
from lightseg.explanation.slices import places
from lightseg.explanation.table import Table
from lightseg.labels import IGNORE
from lightseg.metrics.object_recall import SIZES
from lightseg.metrics.scores import Integers

_AT_ONCE = 2**20
"""Number of pixels whose coincidences are counted at once; float32 represents their counts exactly."""

Mask = npt.NDArray[Any]


def mask_cells(target: Mask, prediction: Mask, classes: int) -> tuple[Table, Table]:
    """Return the cells of the pixels of an image, and its objects.

    Args:
        target: Class ids and `IGNORE`, `(H, W)`.
        prediction: Class ids, `(H, W)`.
        classes: Number of classes.
    """
    return _count(target, prediction, divide_errors(target, prediction), classes)


def image_cells(target: Mask, prediction: Mask) -> Table:
    """Return the cell of an image, or of each of its labels, which are classes that may overlap; none if it is void.

    Args:
        target: Class id or `IGNORE`, `()`; of classes that may overlap, 0, 1 or `IGNORE`, `(C,)`.
        prediction: Class id, `()`; of classes that may overlap, 0 or 1, `(C,)`.
    """
    valid = target != IGNORE
    if target.ndim:
        labels = np.arange(len(target))
        target, prediction = (_choice(labels, values, len(target)) for values in (target, prediction))
    keys = {"truth": target, "prediction": prediction, "count": np.ones_like(target)}
    return Table({name: np.atleast_1d(values)[np.atleast_1d(valid)].astype(np.int64) for name, values in keys.items()})


def label_mask_cells(target: Mask, prediction: Mask) -> tuple[Table, Table]:
    """Return the cells of the labels of the pixels of an image whose classes may overlap, and its objects.

    An object is a connected region of a class; the absence of a class has none.

    Args:
        target: 0, 1 or `IGNORE`, `(C, H, W)`.
        prediction: 0 or 1, `(C, H, W)`.
    """
    cells, objects = list[Table](), list[Table]()
    for label, (truth, predicted) in enumerate(zip(target, prediction, strict=True)):
        parts = _count(truth, predicted, divide_errors(truth, predicted, background=0), 2)
        for tables, table in zip((cells, objects), parts, strict=True):
            # objects have no prediction
            choices = table.columns.keys() & {"truth", "prediction"}
            ids = {name: _choice(label, table[name], len(target)) for name in choices}
            tables.append(Table({**table.columns, **ids}))
    return Table.stack(cells), Table.stack(objects)


def coincidences(target: Tensor, prediction: Tensor) -> tuple[Integers, Integers]:
    """Return how often each class is where another one is not, by the truth.

    Args:
        target: 0, 1 or `IGNORE`, `(C, H, W)` or `(C,)`.
        prediction: 0 or 1, of the same shape.

    Returns:
        int64 `(C, C)` each: of the pixels (or samples) without the class of the row, those with the class of the
        column; and of those of them that are predicted as the class of the row.
    """
    counts = torch.zeros(2, len(target), len(target), dtype=torch.int64)
    pixels = zip(*(values.reshape(len(target), -1).split(_AT_ONCE, 1) for values in (target, prediction)), strict=True)
    for truth, predicted in pixels:
        without, present = truth == 0, (truth == 1).float()
        for index, mask in enumerate((without, without & (predicted == 1))):
            counts[index] += (mask.float() @ present.T).long()
    absences, alarms = counts.numpy()
    return absences, alarms


def _choice(label: int | Integers, values: Mask, classes: int) -> Integers:
    """Return the ids of presence, 1, and absence, 0, of a class."""
    ids: Integers = np.where(values == 1, label, classes + label).astype(np.int64)
    return ids


def _count(target: Mask, prediction: Mask, errors: ErrorTypes, classes: int) -> tuple[Table, Table]:
    valid, size = target != IGNORE, (target.shape[0], target.shape[1])
    rows, columns = np.nonzero(valid)
    keys = {"truth": target[valid], "prediction": prediction[valid], **places(rows + 0.5, columns + 0.5, size)}
    keys |= {"size": errors.size[valid].astype(np.int64), "part": errors.part[valid].astype(np.int64)}
    shape = (classes, classes, 2, 2, 2, len(SIZES), len(PARTS))
    counts = np.bincount(np.ravel_multi_index(tuple(keys.values()), shape))
    occupied = np.flatnonzero(counts)
    cells = dict(zip(keys, np.unravel_index(occupied, shape), strict=True))
    centers = errors.objects.centers + 0.5
    objects = {
        "truth": errors.objects.classes,
        **places(centers[:, 0], centers[:, 1], size),
        "size": errors.sizes,
        "missed": errors.missed.astype(np.int64),
        "count": np.ones(len(errors.missed), np.int64),
    }
    return Table({**cells, "count": counts[occupied]}), Table(objects)
