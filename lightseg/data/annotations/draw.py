"""Drawing of objects as masks: a pixel belongs to an object if its center is inside.

Outlines are exact, so that objects which share a border neither overlap nor leave a gap. A center that lies on an
outline belongs to the object on its right, or below it. Libraries that also paint the pixels under the outline, such as
OpenCV and Pillow, make each object up to a pixel larger.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lightseg.data.annotations.objects import Bitmap, Ring, Shape, Size
from lightseg.errors import DataError
from lightseg.labels import IGNORE

Overlap = Literal["order", "area"]
"""Object that a pixel of several belongs to: the last one, or the one with the fewest pixels."""

_MOST_CROSSINGS = 1 << 25
"""Crossings of an outline with rows of pixels that are computed at once; more take gigabytes."""


_MOST_PIXELS = 1 << 31
"""Pixels of all objects of an image together that are kept to sort them."""


class DrawingError(DataError):
    """Shapes that take too much memory; the message does not name the file."""


class DrawnShape(NamedTuple):
    """Shape and the id that its pixels take.

    Attributes:
        shape: The shape.
        label: The id; `IGNORE` for pixels that are void for every class.
        is_void: Whether the pixels are void for the class of the id.
    """

    shape: Shape
    label: int
    is_void: bool = False


def draw(
    shapes: Iterable[DrawnShape], size: Size, background: int, overlap: Overlap = "order"
) -> npt.NDArray[np.uint8]:
    """Return the mask `(H, W)` of some shapes.

    Args:
        shapes: The shapes and their ids.
        size: Height and width.
        background: Id of pixels without a shape.
        overlap: Rule for pixels of several shapes.

    Raises:
        DrawingError: If an outline is too long, or the shapes are too large.
    """
    mask = np.full(size, background, np.uint8)
    regions: Iterable[tuple[Bitmap, int]] = (
        (rasterize(shape, size), IGNORE if is_void else label) for shape, label, is_void in shapes
    )
    if overlap == "area":
        regions = _sort_by_area(regions)
    for (pixels, top, left), label in regions:
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels] = label
    return mask


def draw_channels(shapes: Iterable[DrawnShape], size: Size, num_classes: int) -> npt.NDArray[np.uint8]:
    """Return the mask `(H, W, K)` of some shapes, with a channel of 0, 1 and `IGNORE` for each class.

    Args:
        shapes: The shapes and their ids. Pixels that one of them voids are void, whatever others cover them.
        size: Height and width.
        num_classes: Number of classes K.

    Raises:
        DrawingError: If an outline is too long.
    """
    mask = np.zeros((*size, num_classes), np.uint8)
    for shape, label, is_void in shapes:
        pixels, top, left = rasterize(shape, size)
        channels = slice(None) if label == IGNORE else slice(label, label + 1)
        window = mask[top : top + pixels.shape[0], left : left + pixels.shape[1], channels]
        # void is the greatest value
        window[pixels] = np.maximum(window[pixels], IGNORE if is_void else 1)
    return mask


def _sort_by_area(regions: Iterable[tuple[Bitmap, int]]) -> list[tuple[Bitmap, int]]:
    """Return regions with the largest one first; of equal ones, the last one stays last.

    Raises:
        DrawingError: If they take too much memory.
    """
    masks, total = [], 0
    for bitmap, label in regions:
        masks.append((bitmap, label))
        total += bitmap.pixels.size
        if total > _MOST_PIXELS:
            raise DrawingError(f"its objects cover {total} pixels, one above the other; set overlap: order")
    return sorted(masks, key=lambda region: -np.count_nonzero(region[0].pixels))


def rasterize(shape: Shape, size: Size) -> Bitmap:
    """Return the pixels of a shape, clipped to the image.

    Args:
        shape: The shape.
        size: Height and width of the image.

    Raises:
        DrawingError: If an outline is too long.
    """
    if isinstance(shape, Bitmap):
        return _clip(shape, size)
    left, top = _window(np.min([ring.min(0) for ring in shape.rings], 0), size)
    right, bottom = _window(np.max([ring.max(0) for ring in shape.rings], 0), size)
    bitmap = Bitmap(np.zeros((bottom - top, right - left), np.bool_), top, left)
    for ring in shape.rings:
        _fill(ring, bitmap)
    return bitmap


def _window(corner: npt.NDArray[np.float64], size: Size) -> tuple[int, int]:
    """Return column and row of the first pixel whose center is not before a point, within the image."""
    column, row = _first_center(corner)
    return int(column.clip(0, size[1])), int(row.clip(0, size[0]))


def _first_center(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the index of the first pixel whose center is at a coordinate or behind it."""
    return np.ceil(coordinates - 0.5).astype(np.int64)


def _clip(bitmap: Bitmap, size: Size) -> Bitmap:
    """Return the part of a bitmap inside an image, without rows and columns at its ends that have no pixel."""
    top, left = max(bitmap.top, 0), max(bitmap.left, 0)
    rows = slice(top - bitmap.top, max(size[0] - bitmap.top, 0))
    columns = slice(left - bitmap.left, max(size[1] - bitmap.left, 0))
    pixels = bitmap.pixels[rows, columns]
    used_rows, used_columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if not len(used_rows):
        return Bitmap(pixels[:0, :0])
    inner = pixels[used_rows[0] : used_rows[-1] + 1, used_columns[0] : used_columns[-1] + 1]
    # a view would keep all of the pixels in memory
    return Bitmap(inner.copy(), top + int(used_rows[0]), left + int(used_columns[0]))


def _fill(ring: Ring, window: Bitmap) -> None:
    """Set the pixels of a window whose centers an outline encloses an odd number of times.

    Raises:
        DrawingError: If the outline is too long.
    """
    (height, width), top, left = window.pixels.shape, window.top, window.left
    ends = np.stack([ring, np.roll(ring, -1, 0)], 1)
    # downwards, so that an edge that is drawn there and back crosses a row in one and the same place
    is_upward = ends[:, 0, 1] > ends[:, 1, 1]
    ends[is_upward] = ends[is_upward, ::-1]
    first, last = _first_center(ends[:, :, 1]).clip(top, top + height).T
    crossings = last - first
    if crossings.sum() > _MOST_CROSSINGS:
        raise DrawingError(f"an outline of {len(ring)} points crosses {crossings.sum()} rows of pixels; simplify it")
    edges = np.repeat(np.arange(len(ring)), crossings)
    rows = np.arange(len(edges)) + np.repeat(first - np.cumsum(crossings) + crossings, crossings)
    (x, y), (end_x, end_y) = ends[edges, 0].T, ends[edges, 1].T
    columns = _first_center(x + (end_x - x) * (rows + 0.5 - y) / (end_y - y)).clip(left, left + width)
    # each crossing turns inside and outside for the rest of its row
    turns = np.zeros((height, width + 1), np.bool_)
    np.logical_xor.at(turns, (rows - top, columns - left), True)
    window.pixels[:] |= np.logical_xor.accumulate(turns, 1)[:, :width]
