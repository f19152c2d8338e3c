"""Shift of a mask against its image: the offset at which their edges fit best."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

_SIDE = 384
"""Larger images are looked at this large."""

_REACH, _LEAST = 0.15, 16
"""Share of the shorter side, and least number of pixels, that a shift is looked for within."""

_SMALLEST = 48
"""Shorter side of the smallest image in which there is enough to tell."""

_PEAK = 5
"""Pixels around a maximum that belong to it."""

_NEAR = 2
"""Pixels by which borders are drawn more or less loosely."""

_WIDE = 41
"""Side in pixels of the surroundings that an edge stands out from."""

_FLOOR = 1e-6


class Shift(NamedTuple):
    """Offset at which the edges of a mask fit the image best.

    Attributes:
        dy: Pixels down that the mask should move.
        dx: Pixels to the right.
        peak: Height of the fit there, in standard deviations of the fit at other places.
        rival: Height of the next maximum, likewise.
        here: Height where the mask is, likewise; the highest within two pixels.
    """

    dy: float
    dx: float
    peak: float
    rival: float
    here: float

    @property
    def length(self) -> float:
        """Pixels between where the mask is and where it fits best."""
        return float(np.hypot(self.dy, self.dx))


def measure_shift(gray: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Shift | None:
    """Correlate the edges of a mask with those of its image; None where there is nothing to correlate.

    Args:
        gray: Brightness of the image, `(H, W)`.
        mask: Class ids and void, `(H, W)`.
    """
    scale = min(1.0, _SIDE / max(mask.shape))
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    reach = max(_LEAST, int(_REACH * min(size)))
    edges = _mask_edges(_resized(mask, size, cv2.INTER_NEAREST))
    if min(size) < _SMALLEST or not edges.any():
        return None
    fit = _correlation(_image_edges(_resized(gray, size, cv2.INTER_AREA)), edges, reach)
    row, column = np.unravel_index(int(fit.argmax()), fit.shape)
    elsewhere = fit[~_around(fit.shape, int(row), int(column))]
    spread = float(elsewhere.std())
    if spread < _FLOOR:
        return None
    heights = (fit - elsewhere.mean()) / spread
    rival = float(heights[~_around(fit.shape, int(row), int(column))].max())
    here = float(heights[_around(fit.shape, reach, reach, _NEAR)].max())
    return Shift((row - reach) / scale, (column - reach) / scale, float(heights[row, column]), rival, here)


def _resized(plane: npt.NDArray[np.uint8], size: tuple[int, int], how: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(plane, size, interpolation=how), np.uint8)


def _mask_edges(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """1 on both sides of every border between two labels, `(H, W)`."""
    reach = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(mask, reach) != cv2.erode(mask, reach), np.float32)


def _image_edges(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return how much brightness changes at a pixel against its surroundings, `(H, W)`, of mean 0."""
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.0)
    slope = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    # the root, so that a few hard edges do not outvote the rest
    slope = np.sqrt(slope)
    return np.asarray(slope - cv2.blur(slope, (_WIDE, _WIDE)), np.float32)


def _correlation(image: npt.NDArray[np.float32], edges: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float64]:
    """Mean image edge under the mask's edges for every shift up to `reach`, `(2 reach + 1, 2 reach + 1)`."""
    # what moves out of the image must not come in again on the other side
    spectra = []
    for plane in (image, edges):
        below, right = (cv2.getOptimalDFTSize(side + reach) - side for side in plane.shape)
        spectra.append(cv2.dft(cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_CONSTANT)))
    product = cv2.mulSpectrums(spectra[0], spectra[1], 0, conjB=True)
    every = np.asarray(cv2.idft(product, flags=cv2.DFT_SCALE))
    window = np.arange(-reach, reach + 1)
    return np.asarray(every[np.ix_(window, window)] / edges.sum(), np.float64)


def _around(shape: tuple[int, ...], row: int, column: int, radius: int = _PEAK) -> npt.NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near: npt.NDArray[np.bool_] = (abs(rows - row) <= radius) & (abs(columns - column) <= radius)
    return near
