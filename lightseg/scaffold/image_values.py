"""Channels, bit depth and range of a folder's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightseg.data.io.images import name_file_in_errors
from lightseg.data.io.pixels import Pixels, decode
from lightseg.errors import DataError

_DEPTHS = (10, 12, 14)
"""Bits of cameras and scanners that store them in 16."""

_NODATA = (-9999.0, -32768.0)
"""Values that mark missing pixels by convention."""


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
    for path in images:
        try:
            with name_file_in_errors(path, "image"):
                pixels.append(decode(path, channels=3))
        except DataError as error:
            errors.append(error)
    if not pixels:
        raise errors[0]
    channels = max(map(_num_channels, pixels))
    options: dict[str, Any] = {}
    reasons = {}
    if channels != 3:
        options["channels"] = channels
        reasons["channels"] = "all images are gray" if channels == 1 else "bands of the images"
    kinds = {(item.white, item.array.dtype.name) for item in pixels}
    white, dtype = max(kinds)
    is_8_bit = all(0 < kind[0] <= 255 for kind in kinds)
    depth = "8-bit" if is_8_bit else dtype if not white else f"{white.bit_length()}-bit"
    if not is_8_bit and len({kind[0] for kind in kinds}) == 1:
        _add_range(pixels, white, options, reasons)
    color = {1: "gray", 3: "color"}.get(channels, f"{channels} channels")
    return ImageFacts(options, reasons, f"{depth} {color}", is_8_bit and channels == 3)


def _num_channels(pixels: Pixels) -> int:
    """Return the channels of an image without its alpha; a palette has colors."""
    if pixels.palette is not None:
        return 3
    return int(pixels.array.shape[2]) - pixels.has_alpha


def _add_range(pixels: Sequence[Pixels], white: int, options: dict[str, Any], reasons: dict[str, str]) -> None:
    """Add the options for values whose range the files do not define, or of which they use a part."""
    low, high, nodata = np.inf, -np.inf, None
    for item in pixels:
        values = item.array[..., : item.array.shape[2] - item.has_alpha]
        if values.dtype.kind == "f" and np.isnan(values).any():
            nodata = float("nan")
            values = values[np.isfinite(values)]
        for value in _NODATA:
            if (values == value).any():
                nodata, values = value, values[values != value]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if nodata is not None:
        options["nodata"], reasons["nodata"] = nodata, "value of missing pixels, which become 0"
    if white:
        bits = next((bits for bits in _DEPTHS if high < 1 << bits), None)
        if bits and white == (1 << 16) - 1:
            options["value_range"] = [0, (1 << bits) - 1]
            reasons["value_range"] = f"the greatest value is {high:g}: {bits} bits in files of 16; these become 0 and 1"
    elif not 0 <= low <= high <= 1 and low < high:
        options["value_range"] = [float(f"{low:.3g}"), float(f"{high:.3g}")]
        reasons["value_range"] = "least and greatest value of the images here, which become 0 and 1; others are clipped"
