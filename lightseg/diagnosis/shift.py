"""Shift between a mask and its image, by cross-correlation of their edges."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

_SIDE = 384
"""Longer side in pixels to which larger images are reduced."""

_REACH, _LEAST = 0.15, 16
"""Largest shift as a share of the shorter side, and at least in pixels."""

_SMALLEST = 48
"""Least shorter side in pixels for a measurement."""

_PEAK = 5
"""Radius of a maximum in pixels."""

_NEAR = 2
"""Tolerance in pixels for loosely annotated borders."""

_WIDE = 41
"""Side in pixels of the neighborhood whose mean is subtracted from an edge."""

_FLOOR = 1e-6


class Shift(NamedTuple):
    """Shift at which the edges of a mask fit the image best.

    Attributes:
        dy: Pixels down that the mask should move.
        dx: Pixels to the right.
        peak: Height of the best fit, in standard deviations of the fit at other shifts.
        rival: Height of the next maximum, likewise.
        unshifted: Height without a shift, likewise; the highest within two pixels.
    """

    dy: float
    dx: float
    peak: float
    rival: float
    unshifted: float

    @property
    def length(self) -> float:
        """Length of the shift in pixels."""
        return float(np.hypot(self.dy, self.dx))


def measure_shift(gray: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Shift | None:
    """Correlate the edges of a mask with those of its image; None if there are too few.

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
    elsewhere = fit[~_is_near(fit.shape, int(row), int(column))]
    spread = float(elsewhere.std())
    if spread < _FLOOR:
        return None
    heights = (fit - elsewhere.mean()) / spread
    rival = float(heights[~_is_near(fit.shape, int(row), int(column))].max())
    unshifted = float(heights[_is_near(fit.shape, reach, reach, _NEAR)].max())
    return Shift((row - reach) / scale, (column - reach) / scale, float(heights[row, column]), rival, unshifted)


def _resized(plane: npt.NDArray[np.uint8], size: tuple[int, int], interpolation: int) -> npt.NDArray[np.uint8]:
    """Return a plane at a width and height."""
    return np.asarray(cv2.resize(plane, size, interpolation=interpolation), np.uint8)


def _mask_edges(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return 1 on both sides of every border between two labels, `(H, W)` float32."""
    reach = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(mask, reach) != cv2.erode(mask, reach), np.float32)


def _image_edges(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the gradient of the brightness minus its local mean, `(H, W)` float32."""
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.0)
    slope = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    # the root, so that a few strong edges do not dominate
    slope = np.sqrt(slope)
    return np.asarray(slope - cv2.blur(slope, (_WIDE, _WIDE)), np.float32)


def _correlation(image: npt.NDArray[np.float32], edges: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float64]:
    """Return the mean image edge under the mask's edges at every shift, `(2 reach + 1, 2 reach + 1)`."""
    # zero padding, since the correlation is circular
    spectra = []
    for plane in (image, edges):
        below, right = (cv2.getOptimalDFTSize(side + reach) - side for side in plane.shape)
        spectra.append(cv2.dft(cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_CONSTANT)))
    product = cv2.mulSpectrums(spectra[0], spectra[1], 0, conjB=True)
    correlation = np.asarray(cv2.idft(product, flags=cv2.DFT_SCALE))
    window = np.arange(-reach, reach + 1)
    return np.asarray(correlation[np.ix_(window, window)] / edges.sum(), np.float64)


def _is_near(shape: tuple[int, ...], row: int, column: int, radius: int = _PEAK) -> npt.NDArray[np.bool_]:
    """Return the square around a place as True, of a shape."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near: npt.NDArray[np.bool_] = (abs(rows - row) <= radius) & (abs(columns - column) <= radius)
    return near
