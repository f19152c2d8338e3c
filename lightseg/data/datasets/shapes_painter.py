"""Painter of the images of `Shapes`: color and texture have one distribution; only the outline depends on the class."""

import colorsys
import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Float32s = npt.NDArray[np.float32]
FloatColor = tuple[float, float, float]
"""RGB on the 0..255 scale."""

_SUBPIXEL_BITS = 4
_CANDIDATES = 4

_DIM, _LIGHT = 0.4, (90.0, 140.0)
"""Brightness of the ground under lights, relative to daylight, and least and greatest light of a disc, in 0..255."""


class Painting(NamedTuple):
    """Image with the object of each pixel.

    Attributes:
        image: `(H, W, 3)` uint8, RGB.
        owner: `(H, W)` uint8: 0 for the ground, k for the k-th object; or the light of each color, `(H, W, 3)`.
    """

    image: Bytes
    owner: Bytes


def paint(
    rng: np.random.Generator, side: int, shapes: Sequence[str], radius: tuple[float, float], noise: int
) -> Painting:
    """Paint objects over a ground; later objects cover earlier ones.

    Args:
        rng: Source of every random choice.
        side: Height and width of the image in pixels.
        shapes: Objects to paint, as names of `OUTLINES`.
        radius: Least and greatest distance of an outline from its center, as a share of the side.
        noise: Greatest change of a pixel by noise, in 0..255.
    """
    ground = _draw_color(rng, ())
    image, owner = _texture(rng, side, side, ground), np.zeros((side, side), np.uint8)
    centers: list[tuple[float, float]] = []
    for number, shape in enumerate(shapes, start=1):
        size = rng.uniform(*radius)
        centers.append(_draw_center(rng, size, centers))
        cover = _cover(OUTLINES[shape], centers[-1], size, rng.uniform(0, 2 * math.pi), side)
        x, y, width, height = cv2.boundingRect(cover)
        box = slice(y, y + height), slice(x, x + width)
        share = cover[box][..., None] * np.float32(1 / 255)
        image[box] += share * (_texture(rng, height, width, _draw_color(rng, (ground,))) - image[box])
        owner[cover >= 128] = number
    image += rng.integers(-noise, noise + 1, image.shape, np.int16)
    return Painting(np.clip(image, 0, 255).astype(np.uint8), owner)


def paint_lights(
    rng: np.random.Generator, side: int, discs: Sequence[int], radius: tuple[float, float], noise: int
) -> Painting:
    """Paint discs of red, green and blue light over a dim ground; where they overlap, their light adds up.

    Args:
        rng: Source of every random choice.
        side: Height and width of the image in pixels.
        discs: Number of discs of each color.
        radius: Least and greatest radius of a disc, as a share of the side.
        noise: Greatest change of a pixel by noise, in 0..255.

    Returns:
        Image, and where each color shines, `(H, W, 3)` uint8 of 0 and 1.
    """
    image = _texture(rng, side, side, _draw_color(rng, ())) * np.float32(_DIM)
    owner = np.zeros((side, side, len(discs)), np.uint8)
    for color, count in enumerate(discs):
        light = np.zeros((side, side), np.uint8)
        for _ in range(count):
            size = rng.uniform(*radius)
            x, y = rng.uniform(size, 1 - size, 2)
            light = np.maximum(light, _cover(_DISC, (x, y), size, 0.0, side))
        image[..., color] += light * np.float32(rng.uniform(*_LIGHT) / 255)
        owner[..., color] = light >= 128
    image += rng.integers(-noise, noise + 1, image.shape, np.int16)
    return Painting(np.clip(image, 0, 255).astype(np.uint8), owner)


def void_along_outlines(owner: Bytes, width: int) -> npt.NDArray[np.bool_]:
    """Return the mask `(H, W)` of the pixels on both sides of every visible outline.

    Args:
        owner: Object of each pixel, `(H, W)`.
        width: Pixels on either side.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return np.asarray(cv2.dilate(owner, kernel) != cv2.erode(owner, kernel))


def _draw_center(rng: np.random.Generator, size: float, centers: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Draw a center by best-candidate sampling, so that objects overlap sometimes and rarely hide each other.

    Source: Mitchell, "Spectrally optimal sampling for distribution ray tracing", SIGGRAPH 1991.
    """
    margin = size * 0.7
    candidates = [(rng.uniform(margin, 1 - margin), rng.uniform(margin, 1 - margin)) for _ in range(_CANDIDATES)]
    return max(candidates, key=lambda point: min((math.dist(point, center) for center in centers), default=0.0))


def _cover(
    outline: Sequence[npt.NDArray[np.float64]], center: tuple[float, float], size: float, angle: float, side: int
) -> Bytes:
    """Return the share of each pixel that a shape covers, `(side, side)` uint8, 0..255."""
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    # OpenCV's coordinate 0 is the center of the first pixel
    polygons = [((size * points @ rotation + center) * side - 0.5) * (1 << _SUBPIXEL_BITS) for points in outline]
    cover = np.zeros((side, side), np.uint8)
    cv2.fillPoly(cover, [np.rint(points).astype(np.int32) for points in polygons], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return cover


def _draw_color(rng: np.random.Generator, avoid: Sequence[FloatColor]) -> FloatColor:
    """Draw a color on the 0..255 scale that is far from the colors to avoid."""
    candidates = [
        colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.85), rng.uniform(0.35, 0.95)) for _ in range(_CANDIDATES)
    ]
    scaled = [(255 * red, 255 * green, 255 * blue) for red, green, blue in candidates]
    return max(scaled, key=lambda color: min((math.dist(color, distractor) for distractor in avoid), default=0.0))


def _texture(rng: np.random.Generator, height: int, width: int, color: FloatColor) -> Float32s:
    """Draw shades of one color, `(height, width, 3)`: noise at several scales, with a gradient or stripes."""
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
    # brightness varies, and hue slightly
    shade = np.asarray(color, np.float32) * np.float32(0.25) + rng.uniform(-25, 25, 3).astype(np.float32)
    return np.asarray(color, np.float32) + pattern[..., None] * shade


def _ramp(height: int, width: int, angle: float) -> Float32s:
    """Return a linear ramp `(height, width)` from about 0 to about 1 in the direction of `angle` (radians)."""
    rows, columns = np.ogrid[:height, :width]
    scale = 1 / max(height, width)
    position = (columns * scale - 0.5) * math.cos(angle) + (rows * scale - 0.5) * math.sin(angle)
    return (position + 0.5).astype(np.float32)


def _regular_polygon(corners: int, radii: Sequence[float] = (1.0,)) -> npt.NDArray[np.float64]:
    """Return corners on circles whose radii alternate, `(corners, 2)`."""
    angles = np.arange(corners) * (2 * math.pi / corners)
    scale = np.resize(np.asarray(radii, np.float64), corners)
    return np.stack([scale * np.cos(angles), scale * np.sin(angles)], 1)


OUTLINES = {
    "circle": [0.85 * _regular_polygon(40)],
    "square": [_regular_polygon(4)],
    "triangle": [_regular_polygon(3)],
    "star": [_regular_polygon(10, (1.0, 0.45))],
    "ring": [0.9 * _regular_polygon(40), 0.5 * _regular_polygon(40)],
}
"""Polygons of radius about 1, `(corners, 2)` each; the inside of two polygons is a hole."""

_DISC = [_regular_polygon(40)]
