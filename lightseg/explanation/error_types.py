"""Error types that exclude each other: boundary, missed object, invented object, interior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.labels import IGNORE
from lightseg.metrics.boundary_iou import WIDTH
from lightseg.metrics.object_recall import LIMITS
from lightseg.metrics.scores import Floats, Integers

PARTS = ("right", "boundary", "missed object", "invented object", "interior")
RIGHT, BOUNDARY, MISSED, INVENTED, INTERIOR = range(len(PARTS))

NOTHING = 0.1
"""Share of correct pixels below which an object is missed."""

Mask = npt.NDArray[Any]


@dataclass(frozen=True)
class Components:
    """Connected regions of a mask, with 8-connectivity.

    Attributes:
        labels: Index of the region of each pixel, int32 `(H, W)`; -1 where it is void.
        classes: Class of each region, int64 `(R,)`.
        centers: Row and column of the center of each region, float64 `(R, 2)`.
    """

    labels: npt.NDArray[np.int32]
    classes: Integers
    centers: Floats

    def count(self, mask: npt.NDArray[np.bool_]) -> Integers:
        """Return the number of pixels of a mask, bool `(H, W)`, in each region, int64 `(R,)`."""
        labels = self.labels[mask & (self.labels >= 0)]
        return np.bincount(labels, minlength=len(self.classes)).astype(np.int64)


@dataclass(frozen=True)
class ErrorTypes:
    """Error type of each pixel of an image, and the state of each object.

    Attributes:
        part: Index into `PARTS`, uint8 `(H, W)`; undefined where the truth is void.
        size: Index into `SIZES` of the true object of each pixel, likewise.
        objects: The R true objects.
        sizes: Index into `SIZES` of each object, by its pixels, int64 `(R,)`.
        missed: Whether each object is missed, bool `(R,)`.
    """

    part: npt.NDArray[np.uint8]
    size: npt.NDArray[np.uint8]
    objects: Components
    sizes: Integers
    missed: npt.NDArray[np.bool_]


def divide_errors(target: Mask, prediction: Mask, background: int | None = None) -> ErrorTypes:
    """Assign each wrong pixel to one error type.

    The first that applies: the pixel is in a missed object of the truth; in an invented object of the prediction, with
    almost no correct pixel and with pixels away from boundaries; near a boundary of the truth, including those to void;
    or in the interior.

    Args:
        target: Class ids and `IGNORE`, `(H, W)`.
        prediction: Class ids, `(H, W)`.
        background: Class whose regions are no objects; None if there is none.
    """
    valid, correct = target != IGNORE, target == prediction
    truth, predicted = (
        components(ids if background is None else np.where(ids == background, IGNORE, ids))
        for ids in (target, prediction)
    )
    areas = truth.count(valid)
    missed = truth.count(correct) < NOTHING * areas
    near = _near_boundary(target)
    invented = (predicted.count(correct) < NOTHING * predicted.count(valid)) & (predicted.count(valid & ~near) > 0)
    part = np.full(target.shape, INTERIOR, np.uint8)
    part[near] = BOUNDARY
    part[_paint(invented, predicted)] = INVENTED
    part[_paint(missed, truth)] = MISSED
    part[correct] = RIGHT
    sizes = np.searchsorted(LIMITS, areas, side="right")
    return ErrorTypes(part, _paint(sizes.astype(np.uint8), truth), truth, sizes, missed)


def components(ids: Mask) -> Components:
    """Return the connected regions of each class of a mask of class ids, in which `IGNORE` is void."""
    labels = np.full(ids.shape, -1, np.int32)
    classes: list[int] = []
    centers = [np.zeros((0, 2))]
    for label in np.unique(ids[ids != IGNORE]).tolist():
        mask = ids == label
        number, regions, _, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        labels[mask] = regions[mask] - 1 + len(classes)
        classes += [label] * (number - 1)
        centers.append(centroids[1:, ::-1])
    return Components(labels, np.array(classes, np.int64), np.concatenate(centers))


def band_width(shape: tuple[int, ...]) -> int:
    """Return the width of the band on each side of a boundary, in pixels, as in the boundary IoU."""
    return max(1, round(WIDTH * math.hypot(*shape)))


def _near_boundary(target: Mask) -> npt.NDArray[np.bool_]:
    """Return the pixels near one of another class, bool `(H, W)`; the edge of the image is no boundary."""
    changes = np.zeros(target.shape, bool)
    for axis in (0, 1):
        steps = np.diff(target.astype(np.int64), axis=axis) != 0
        after, before = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        after[axis], before[axis] = (0, 1), (1, 0)
        changes |= np.pad(steps, after) | np.pad(steps, before)
    distance = cv2.distanceTransform((~changes).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # a pixel at the boundary has distance 0
    near: npt.NDArray[np.bool_] = (distance < band_width(target.shape)) & changes.any()
    return near


def _paint(values: npt.NDArray[Any], regions: Components) -> npt.NDArray[Any]:
    """Return the value of the region of each pixel, `(H, W)`; 0 outside all regions."""
    painted: npt.NDArray[Any] = np.append(values, values.dtype.type(0))[regions.labels]
    return painted
