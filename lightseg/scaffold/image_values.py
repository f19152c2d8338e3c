"""Channels, bit depth and range of a folder's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightseg.data.io.image_values import ImageValues
from lightseg.data.io.images import name_file_in_errors
from lightseg.data.io.pixels import decode, file_kind
from lightseg.data.io.stored_pixels import Pixels
from lightseg.data.types import Array
from lightseg.errors import DataError

_DEPTHS = (10, 12, 14)
"""Bits of cameras and scanners that store them in 16."""

_NODATA = (-9999.0, -32768.0)
"""Values that mark missing pixels by convention."""

_GDAL_NODATA = 42113
"""GDAL's TIFF tag of the value that marks missing pixels."""

_DARK = 0.25
"""Share of the range of 16 bits below which nearly all values lie if a stretched range is advised."""

_PERCENTILES = "the 0.5th and 99.5th percentiles of train become 0 and 1, others are clipped"


@dataclass(frozen=True)
class ImageFacts:
    """Options of a data module that say how images are read.

    Attributes:
        options: The options.
        reasons: Comment on each.
        summary: Description of the images.
        is_8_bit_color: Whether they are photos as pretrained nets know them.
    """

    options: dict[str, Any]
    reasons: dict[str, str]
    summary: str
    is_8_bit_color: bool


def measure_images(images: Sequence[Path]) -> ImageFacts:
    """Return how images are to be read.

    Args:
        images: Some of the images.

    Raises:
        DataError: If none can be read, or their channels differ.
    """
    pixels, errors = [], []
    nodata: set[float] = set()
    for path in images:
        try:
            with name_file_in_errors(path, "image"):
                pixels.append(decode(path, channels=3))
                nodata |= _stated_nodata(path)
        except DataError as error:
            errors.append(error)
    if not pixels:
        raise errors[0]
    channels = max(map(_num_channels, pixels))
    options: dict[str, Any] = {}
    reasons = {}
    if channels != 3:
        options["channels"] = channels
        bands = "bands of the images; in its place, bands: [3, 2, 1] reads some of them, counted from 1"
        reasons["channels"] = "all images are gray" if channels == 1 else bands
    kinds = {(item.white, item.array.dtype.name) for item in pixels}
    white, dtype = max(kinds)
    is_8_bit = all(0 < kind[0] <= 255 for kind in kinds)
    depth = "8-bit" if is_8_bit else dtype if not white else f"{white.bit_length()}-bit"
    if nodata or not is_8_bit:
        _add_nodata(pixels, nodata, options, reasons)
    if not is_8_bit and len({kind[0] for kind in kinds}) == 1:
        _add_range(pixels, white, options, reasons)
    color = {1: "gray", 3: "color"}.get(channels, f"{channels} channels")
    return ImageFacts(options, reasons, f"{depth} {color}", is_8_bit and channels == 3)


def _num_channels(pixels: Pixels) -> int:
    """Return the channels of an image without its alpha; a palette has colors."""
    if pixels.palette is not None:
        return 3
    return int(pixels.array.shape[2]) - pixels.has_alpha


def _stated_nodata(path: Path) -> set[float]:
    """Return the value of missing pixels that a TIFF states, as GDAL writes it; empty if there is none."""
    if file_kind(path) != "TIFF":
        return set()
    import tifffile

    with tifffile.TiffFile(path) as file:
        text = file.pages.first.tags.valueof(_GDAL_NODATA)
    try:
        return {float(text)}
    except (TypeError, ValueError):
        return set()


def _values(pixels: Pixels) -> Array:
    """Return the values of an image without its alpha, `(H, W, C)`."""
    return pixels.array[..., : pixels.array.shape[2] - pixels.has_alpha]


def _add_nodata(pixels: Sequence[Pixels], tags: set[float], options: dict[str, Any], reasons: dict[str, str]) -> None:
    """Add the value of missing pixels that files state, or that the images hold."""
    candidates = [*tags, *(value for value in _NODATA if any((_values(item) == value).any() for item in pixels))]
    if any(item.array.dtype.kind == "f" and np.isnan(_values(item)).any() for item in pixels):
        candidates.append(float("nan"))
    if candidates:
        options["nodata"] = candidates[0]
        reasons["nodata"] = "value of missing pixels, which become the mean in images and void in masks"


def _add_range(pixels: Sequence[Pixels], white: int, options: dict[str, Any], reasons: dict[str, str]) -> None:
    """Add the range of values whose range the files do not define, or of which they use a part."""
    find_missing = ImageValues(nodata=options.get("nodata", float("nan"))).find_missing
    parts = [values[~is_missing] for values in map(_values, pixels) if (is_missing := find_missing(values)) is not None]
    valid = np.concatenate([part for part in parts if part.size] or [np.zeros(1)])
    low, high = float(valid.min()), float(valid.max())
    if white:
        bits = next((bits for bits in _DEPTHS if high < 1 << bits), None)
        if bits and white == (1 << 16) - 1:
            options["value_range"] = [0, (1 << bits) - 1]
            reasons["value_range"] = f"the greatest value is {high:g}: {bits} bits in files of 16; these become 0 and 1"
        elif np.percentile(valid, 99) < _DARK * white:
            options["value_range"] = "auto"
            reasons["value_range"] = f"nearly all values are in the lowest quarter of 0 to {white}: {_PERCENTILES}"
    elif not 0 <= low <= high <= 1 and low < high:
        options["value_range"] = "auto"
        reasons["value_range"] = f"the values here are {low:.3g} to {high:.3g}: {_PERCENTILES}"
