"""Stored pixels of a file, whatever its format: their layout, orientation and colors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightseg.data.types import Array
from lightseg.errors import DataError


class Pixels(NamedTuple):
    """Stored values of an image or of some of its rows, upright.

    Attributes:
        array: `(H, W, C)` of any type; gray runs from black to white, and color is RGB.
        white: Value of white in unsigned files, such as 1, 15, 255 or 4095; 0 where none is defined.
        has_alpha: Whether the last channel is the alpha.
        palette: Colors `(N, 3)` or `(N, 4)` uint8, if `array` holds palette indices.
        lossy: Name of a lossy compression; empty if the values are exact.
        is_cmyk: Whether the colors were converted from CMYK.
        has_bands: Whether the channels are separate gray bands, such as the pages of a stack, not colors.
        is_negative: Whether true is black, as tifffile writes booleans, although it reads them as they were.
    """

    array: Array
    white: int
    has_alpha: bool = False
    palette: Array | None = None
    lossy: str = ""
    is_cmyk: bool = False
    has_bands: bool = False
    is_negative: bool = False


def from_array(array: Array) -> Pixels:
    """Wrap a user's array `(H, W, C)`: the greatest value of an 8- or 16-bit unsigned type is white."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        return Pixels(array.view(np.uint8), 1)
    return Pixels(array, int(np.iinfo(array.dtype).max) if array.dtype in (np.uint8, np.uint16) else 0)


def channels_last(path: Path, array: Array, axes: str, channels: int | None) -> Array:
    """Return a view `(H, W, C)` of an array.

    Args:
        path: The file, for messages.
        array: `(H, W)`, `(H, W, C)` or `(C, H, W)`.
        axes: Axes of the array in tifffile's notation, or empty.
        channels: Expected number of channels; None: a mask.

    Raises:
        DataError: If the array has another shape.
    """
    require_planes(path, array.shape)
    if array.ndim == 2:
        return array[..., None]
    return np.moveaxis(array, 0, -1) if is_channel_first(array.shape, axes, channels) else array


def is_channel_first(shape: tuple[int, ...], axes: str, channels: int | None) -> bool:
    """Return whether the first axis of three is that of the channels.

    Args:
        shape: The shape.
        axes: The axes in tifffile's notation, or empty.
        channels: Expected number of channels; 0: unknown; None: a mask.
    """
    if "S" in axes:  # tifffile's letter of the channel axis
        return axes.startswith("S")
    if channels is None:
        return False
    return shape[0] == channels or (shape[-1] != channels and shape[0] < shape[-1])


def height_and_width(shape: tuple[int, ...], axes: str, channels: int | None) -> tuple[int, int]:
    """Return height and width of an image; for the arguments see `is_channel_first`."""
    has_first = len(shape) == 3 and is_channel_first(shape, axes, channels)
    return (shape[1], shape[2]) if has_first else (shape[0], shape[1])


def require_planes(path: Path, shape: tuple[int, ...]) -> None:
    """Check the number of axes of an image.

    Raises:
        DataError: If there are fewer than two, or more than three.
    """
    if len(shape) not in (2, 3):
        raise DataError(f"{path}: has the shape {shape}; an image is (H, W), (H, W, C) or (C, H, W)")


def turn(array: Array, orientation: int) -> Array:
    """Return a view of an image `(H, W, C)` with an EXIF orientation, 1..8, applied."""
    turns: dict[int, Callable[[Array], Array]] = {
        2: lambda stored: stored[:, ::-1],
        3: lambda stored: stored[::-1, ::-1],
        4: lambda stored: stored[::-1],
        5: lambda stored: stored.swapaxes(0, 1),
        6: lambda stored: stored[::-1].swapaxes(0, 1),
        7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
        8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
    }
    return turns[orientation](array) if orientation in turns else array


def cmyk_to_rgb(inks: Array, white: int) -> Array:
    """Convert cyan, magenta, yellow and black `(H, W, 4)` to RGB `(H, W, 3)` as Pillow does."""
    # uint32, since products of uint16 would overflow
    wide = inks.astype(np.uint32)
    brightness = white - wide[..., 3:]
    return (brightness - (wide[..., :3] * brightness + white // 2) // white).astype(inks.dtype)


def require_data(path: Path, num_bytes: float, capacity: float, size: tuple[int, int]) -> None:
    """Check that a file is large enough for its pixels.

    Args:
        path: The file.
        num_bytes: Bytes of the pixels.
        capacity: Upper bound of the bytes that the file decodes to.
        size: Width and height of the image, for the message.

    Raises:
        ValueError: If it is too small.
    """
    if num_bytes > capacity:
        raise ValueError(
            f"its header says {size[0]}×{size[1]} pixels, more than its {path.stat().st_size:,} bytes can hold"
        )
