"""Paints the pictures of `Shapes`: colour and texture are drawn alike for every class, only the outline tells it."""

import colorsys
import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = tuple[float, float, float]

_SUBPIXEL_BITS = 4
_CANDIDATES = 4


class Painting(NamedTuple):
    """Picture, and the owner of each of its pixels.

    Attributes:
        image: `(H, W, 3)` uint8, RGB.
        owner: `(H, W)` uint8: 0 for the ground, k for the k-th object that was painted.
    """

    image: Bytes
    owner: Bytes


def paint(
    rng: np.random.Generator, side: int, shapes: Sequence[str], radius: tuple[float, float], noise: int
) -> Painting:
    """Paint objects over a ground; later ones hide parts of earlier ones.

    Args:
        rng: Source of every random choice.
        side: Height and width of the picture.
        shapes: What to paint, names of `OUTLINES`.
        radius: Least and greatest distance of an outline from its centre, as a share of the side.
        noise: Greatest change of a pixel by noise, of 255.
    """
    ground = _color(rng, ())
    image, owner = _texture(rng, side, side, ground), np.zeros((side, side), np.uint8)
    centres: list[tuple[float, float]] = []
    for number, shape in enumerate(shapes, start=1):
        size = rng.uniform(*radius)
        centres.append(_free_place(rng, size, centres))
        cover = _cover(OUTLINES[shape], centres[-1], size, rng.uniform(0, 2 * math.pi), side)
        x, y, width, height = cv2.boundingRect(cover)
        box = slice(y, y + height), slice(x, x + width)
        share = cover[box][..., None] * np.float32(1 / 255)
        image[box] += share * (_texture(rng, height, width, _color(rng, (ground,))) - image[box])
        owner[cover >= 128] = number
    image += rng.integers(-noise, noise + 1, image.shape, np.int16)
    return Painting(np.clip(image, 0, 255).astype(np.uint8), owner)


def void_along_outlines(owner: Bytes, width: int) -> npt.NDArray[np.bool_]:
    """Return the pixels within `width` of another owner's, on both sides of every visible outline, `(H, W)`."""
    reach = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return np.asarray(cv2.dilate(owner, reach) != cv2.erode(owner, reach))


def _free_place(rng: np.random.Generator, size: float, occupied: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the candidate farthest from all others: objects overlap now and then, and seldom hide each other.

    Source: Mitchell, "Spectrally optimal sampling for distribution ray tracing", SIGGRAPH 1991: best candidate.
    """
    margin = size * 0.7
    places = [(rng.uniform(margin, 1 - margin), rng.uniform(margin, 1 - margin)) for _ in range(_CANDIDATES)]
    return max(places, key=lambda place: min((math.dist(place, center) for center in occupied), default=0.0))


def _cover(
    outline: Sequence[npt.NDArray[np.float64]], centre: tuple[float, float], size: float, angle: float, side: int
) -> Bytes:
    """Return how much of each pixel a shape covers, `(side, side)`, 0..255."""
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    # OpenCV's coordinate 0 is the middle of the first pixel
    polygons = [((size * points @ rotation + centre) * side - 0.5) * (1 << _SUBPIXEL_BITS) for points in outline]
    cover = np.zeros((side, side), np.uint8)
    cv2.fillPoly(cover, [np.rint(points).astype(np.int32) for points in polygons], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return cover


def _color(rng: np.random.Generator, avoid: Sequence[Color]) -> Color:
    """Return a colour on the 0..255 scale, of a few the farthest from those to avoid."""
    candidates = [
        colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.85), rng.uniform(0.35, 0.95)) for _ in range(_CANDIDATES)
    ]
    scaled = [(255 * red, 255 * green, 255 * blue) for red, green, blue in candidates]
    return max(
        scaled, key=lambda color: min((math.dist(color, color_to_avoid) for color_to_avoid in avoid), default=0.0)
    )


def _texture(rng: np.random.Generator, height: int, width: int, color: Color) -> Floats:
    """Shades of one colour, `(height, width, 3)`: noise at several scales, with a gradient or stripes."""
    pattern = np.zeros((height, width), np.float32)
    for cells, weight in ((3, 0.5), (8, 0.3), (20, 0.2)):
        grid = rng.integers(0, 256, (cells, cells), np.uint8)
        pattern += np.float32(weight * 2 / 255) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    pattern -= 1
    ramp = _ramp(height, width, rng.uniform(0, 2 * math.pi))
    if rng.random() < 0.5:
        stripes = ramp * (max(height, width) / rng.uniform(6, 20)) + rng.random()
        pattern = 0.4 * pattern + (np.abs(stripes % 2 - 1) - 0.5)
    else:
        pattern += ramp - 0.5
    # lighter and darker, and a little towards another hue
    shade = np.asarray(color, np.float32) * np.float32(0.25) + rng.uniform(-25, 25, 3).astype(np.float32)
    return np.asarray(color, np.float32) + pattern[..., None] * shade


def _ramp(height: int, width: int, angle: float) -> Floats:
    """Rises from about 0 to about 1 across the picture in the direction of `angle`."""
    rows, columns = np.ogrid[:height, :width]
    scale = 1 / max(height, width)
    along = (columns * scale - 0.5) * math.cos(angle) + (rows * scale - 0.5) * math.sin(angle)
    return (along + 0.5).astype(np.float32)


def _regular(corners: int, radii: Sequence[float] = (1.0,)) -> npt.NDArray[np.float64]:
    """Corners on circles of the given radii in turn, `(corners, 2)`."""
    angles = np.arange(corners) * (2 * math.pi / corners)
    scale = np.resize(np.asarray(radii, np.float64), corners)
    return np.stack([scale * np.cos(angles), scale * np.sin(angles)], 1)


OUTLINES = {
    "circle": [0.85 * _regular(40)],
    "square": [_regular(4)],
    "triangle": [_regular(3)],
    "star": [_regular(10, (1.0, 0.45))],
    "ring": [0.9 * _regular(40), 0.5 * _regular(40)],
}
"""Polygons of radius about 1, `(corners, 2)` each; what lies inside two of them is a hole."""
