"""Objects of an image, as all annotation formats give them, and the checks of their outlines."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightseg.errors import DataError

_FARTHEST = 1e7
"""Greatest coordinate in pixels; no image is as large."""

Size = tuple[int, int]
"""Height and width in pixels."""

Ring = npt.NDArray[np.float64]
"""Closed outline, `(N, 2)`: x and y of each corner in pixels; (0, 0) is the upper left corner of the first pixel."""


class Polygons(NamedTuple):
    """Region inside any of some outlines; parts that an outline encloses twice, such as holes, are outside of it."""

    rings: list[Ring]


class Bitmap(NamedTuple):
    """Region as pixels `(h, w)` bool, with the position of its first pixel in the image."""

    pixels: npt.NDArray[np.bool_]
    top: int = 0
    left: int = 0


Shape = Polygons | Bitmap


class ObjectRecord(NamedTuple):
    """Object as its format stores it.

    Attributes:
        place: File, image and object, for messages.
        name: Name of its class in the annotations.
        outline: Its outline, which the `shape` method of the format interprets.
        is_crowd: Whether it is a group of objects.
    """

    place: str
    name: str
    outline: Any
    is_crowd: bool = False


class ImageRecord(NamedTuple):
    """Annotation of an image.

    Attributes:
        size: Height and width of the image according to the annotation; None without them.
        labels: Names of the classes of the image as a whole.
        objects: Objects, of which later ones lie above.
    """

    size: Size | None
    labels: list[str]
    objects: list[ObjectRecord]


def to_ring(points: Any, size: Size, place: str) -> Ring:
    """Return the outline through some points.

    Args:
        points: x and y of each, nested or one after the other.
        size: Height and width of the image.
        place: File and object, for messages.

    Raises:
        DataError: If they are no finite numbers, fewer than three, on one line, or all outside of the image.
    """
    numbers = to_numbers(points, place)
    if numbers.size % 2:
        raise DataError(f"{place}: has {numbers.size} numbers, and each point needs two; correct its outline")
    ring = numbers.reshape(-1, 2)
    if len(ring) < 3:
        raise DataError(f"{place}: has {len(ring)} points, and an area needs three; correct its outline, or remove it")
    x, y = (ring - ring[0]).T
    farthest = np.hypot(x, y).argmax()
    if not (x * y[farthest] != y * x[farthest]).any():
        raise DataError(f"{place}: its points lie on one line, without an area; correct its outline, or remove it")
    (left, top), (right, bottom) = ring.min(0), ring.max(0)
    height, width = size
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise DataError(
            f"{place}: lies outside of its image: x {left:g} to {right:g}, y {top:g} to {bottom:g}, and the image is "
            f"{width}×{height}; correct its outline, or remove it"
        )
    return ring


def overhang(shape: Shape, size: Size) -> float:
    """Return the greatest distance in pixels of a corner beyond the border of the image; 0 for a region of pixels."""
    if isinstance(shape, Bitmap):
        return 0.0
    points = np.concatenate(shape.rings)
    return max(0.0, float(-points.min()), float((points - size[::-1]).max()))


def to_numbers(values: Any, place: str) -> npt.NDArray[np.float64]:
    """Return coordinates, one after the other or as pairs, as one array `(N,)`.

    Raises:
        DataError: If they are no finite numbers, or points of another number of coordinates than two.
    """
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{place}: its outline is no list of numbers; correct it, or remove the object") from None
    if array.ndim > 1 and array.shape[-1] != 2:
        # such as points in space, which would be taken for others
        raise DataError(f"{place}: its points have {array.shape[-1]} numbers, and each needs two; correct its outline")
    if array.ndim > 2:
        raise DataError(f"{place}: its outline is several of one length; write a part for each, or remove the object")
    numbers = array.ravel()
    if not (np.abs(numbers) <= _FARTHEST).all():
        farthest = numbers[~(np.abs(numbers) <= _FARTHEST)][0]
        raise DataError(
            f"{place}: its outline holds {farthest:g}, which is no coordinate; correct it, or remove the object"
        )
    return numbers


def rectangle(left: float, top: float, right: float, bottom: float) -> Ring:
    """Return the outline of a rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> Ring:
    """Return the outline of an ellipse as a polygon of 720 corners, within 0.01 pixel up to a radius of 1000.

    Args:
        x: Its center.
        y: Its center.
        radius_x: Half of its width.
        radius_y: Half of its height.
        degrees: Clockwise rotation around its center.
    """
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    ring = np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], 1)
    return rotate(ring, (x, y), degrees)


def rotate(ring: Ring, center: Sequence[float], degrees: float) -> Ring:
    """Return an outline turned clockwise around a point."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (ring - center) @ np.array([[cos, sin], [-sin, cos]]) + center if degrees else ring


def from_runs(counts: Any, size: Size, order: str, place: str) -> npt.NDArray[np.bool_]:
    """Return the pixels `(h, w)` of a run-length encoding, whose runs alternate, beginning outside of the object.

    Args:
        counts: Length of each run.
        size: Height and width of the encoded rectangle.
        order: `F` if the runs go down the columns, `C` if they go along the rows.
        place: File and object, for messages.

    Raises:
        DataError: If they are no whole numbers, or do not add up to the pixels of the rectangle.
    """
    height, width = size
    is_whole = False
    with suppress(TypeError, ValueError, OverflowError):
        runs = np.array(counts, np.int64)
        is_whole = np.array_equal(runs, np.array(counts, np.float64))
    if not is_whole:
        raise DataError(f"{place}: its runs are no whole numbers; export it again")
    # compared as floats, which do not overflow
    if runs.ndim != 1 or (runs < 0).any() or runs.sum(dtype=np.float64) != height * width:
        raise DataError(
            f"{place}: its runs add up to {runs.sum(dtype=np.float64):.0f} pixels, and {width}×{height} has "
            f"{height * width}; export it again"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order=order)  # type: ignore[call-overload, no-any-return]


def require_inside(top: int, left: int, box: Size, size: Size, place: str) -> None:
    """Check that the box of a mask lies in its image.

    Args:
        top: First row.
        left: First column.
        box: Height and width of the box.
        size: Height and width of the image.
        place: File and object, for messages.

    Raises:
        DataError: If it does not.
    """
    if not (0 <= top < top + box[0] <= size[0] and 0 <= left < left + box[1] <= size[1]):
        raise DataError(
            f"{place}: its box, {box[1]}×{box[0]} pixels at x {left}, y {top}, leaves its image, which is "
            f"{size[1]}×{size[0]}; export the annotations again"
        )


def require_size(annotated: Size | None, size: Size, place: str) -> None:
    """Check that an annotation has the size of its image.

    Args:
        annotated: Height and width according to the annotation.
        size: Those of the image.
        place: File and image, for messages.

    Raises:
        DataError: If they differ.
    """
    if annotated is None or annotated == size:
        return
    hint = "the annotations are for another size of the image: export them again, or restore the image"
    if annotated == size[::-1]:
        hint = "the image's EXIF orientation may turn it: save it as it is displayed, or export the annotations again"
    raise DataError(
        f"{place}: is annotated as {annotated[1]}×{annotated[0]}, and the image is {size[1]}×{size[0]} "
        f"(width×height); {hint}"
    )
