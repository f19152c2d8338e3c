"""Error types that exclude each other: boundary, missed object, invented object, interior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.explanation.table import Floats, Ints
from lightseg.labels import IGNORE
from lightseg.metrics.boundary_iou import WIDTH
from lightseg.metrics.object_recall import LIMITS

PARTS = ("right", "boundary", "missed object", "invented object", "interior")
RIGHT, BOUNDARY, MISSED, INVENTED, INTERIOR = range(len(PARTS))

NOTHING = 0.1
"""Of an object of which a smaller share is found, nearly nothing is."""

Mask = npt.NDArray[Any]


@dataclass(frozen=True)
class Components:
    """Connected regions of a mask, two pixels that touch at a corner being connected.

    Attributes:
        labels: Which one each pixel is in, int32 `(H, W)`; -1 where it is void.
        classes: Class of each, int64 `(R,)`.
        centres: Row and column of the centre of each, `(R, 2)`.
    """

    labels: npt.NDArray[np.int32]
    classes: Ints
    centres: Floats

    def count(self, chosen: npt.NDArray[np.bool_]) -> Ints:
        """Pixels of each that are chosen, `(R,)`."""
        inside = self.labels[chosen & (self.labels >= 0)]
        return np.bincount(inside, minlength=len(self.classes)).astype(np.int64)


@dataclass(frozen=True)
class ErrorTypes:
    """Error type of each pixel of an image, and the state of each object.

    Attributes:
        part: Index into `PARTS`, uint8 `(H, W)`; of no meaning where the truth is void.
        size: Index into `SIZES` of the true object that a pixel is in, likewise.
        objects: The true objects.
        sizes: Index into `SIZES` of each, by its pixels, int64 `(R,)`.
        missed: Which of them are not found, bool `(R,)`.
    """

    part: npt.NDArray[np.uint8]
    size: npt.NDArray[np.uint8]
    objects: Components
    sizes: Ints
    missed: npt.NDArray[np.bool_]


def divide_errors(target: Mask, prediction: Mask) -> ErrorTypes:
    """Say of each wrong pixel which part of the errors it is in.

    The first of these that holds: it is in an object of the truth of which nearly nothing was found; in a predicted
    object that meets nearly nothing of its class, and is more than a seam along a boundary; near a boundary of the
    truth, to void too; or none of them, which is the interior.

    Args:
        target: Class ids and `IGNORE`, `(H, W)`.
        prediction: Class ids, `(H, W)`.
    """
    valid, hit = target != IGNORE, target == prediction
    truth, predicted_regions = components(target), components(prediction)
    areas = truth.count(valid)
    missed = truth.count(hit) < NOTHING * areas
    near = _near_boundary(target)
    invented = (predicted_regions.count(hit) < NOTHING * predicted_regions.count(valid)) & (
        predicted_regions.count(valid & ~near) > 0
    )
    part = np.full(target.shape, INTERIOR, np.uint8)
    part[near] = BOUNDARY
    part[_paint(invented, predicted_regions)] = INVENTED
    part[_paint(missed, truth)] = MISSED
    part[hit] = RIGHT
    sizes = np.searchsorted(LIMITS, areas, side="right")
    return ErrorTypes(part, _paint(sizes.astype(np.uint8), truth), truth, sizes, missed)


def components(ids: Mask) -> Components:
    """Return the connected regions of each class of a mask of class ids, in which `IGNORE` is void."""
    labels = np.full(ids.shape, -1, np.int32)
    classes: list[int] = []
    centres = [np.zeros((0, 2))]
    for label in np.unique(ids[ids != IGNORE]).tolist():
        inside = ids == label
        number, regions, _, middle = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
        labels[inside] = regions[inside] - 1 + len(classes)
        classes += [label] * (number - 1)
        centres.append(middle[1:, ::-1])
    return Components(labels, np.array(classes, np.int64), np.concatenate(centres))


def band_width(shape: tuple[int, ...]) -> int:
    """Pixels on either side of a boundary that count as near it: as many as in the boundary IoU."""
    return max(1, round(WIDTH * math.hypot(*shape)))


def _near_boundary(target: Mask) -> npt.NDArray[np.bool_]:
    """Pixels that are near one of another class, `(H, W)`; the edge of the image is no boundary."""
    changes = np.zeros(target.shape, bool)
    for axis in (0, 1):
        ahead = np.diff(target.astype(np.int64), axis=axis) != 0
        behind, before = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        behind[axis], before[axis] = (0, 1), (1, 0)
        changes |= np.pad(ahead, behind) | np.pad(ahead, before)
    distance = cv2.distanceTransform((~changes).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # a pixel at the boundary has distance 0
    near: npt.NDArray[np.bool_] = (distance < band_width(target.shape)) & changes.any()
    return near


def _paint(values: npt.NDArray[Any], regions: Components) -> npt.NDArray[Any]:
    """Return the value of the region that each pixel is in, `(H, W)`; nought where it is in none."""
    painted: npt.NDArray[Any] = np.append(values, values.dtype.type(0))[regions.labels]
    return painted
