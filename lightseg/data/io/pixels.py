"""Decoding of files of any format to stored pixels, and reading of their headers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from lightseg.data.io.pillow_formats import FORMATS, decode_pillow, orientation, require_png_data
from lightseg.data.io.stored_pixels import Pixels, channels_last, from_array, height_and_width, require_planes
from lightseg.data.io.tiff import decode_tiff, only_series, require_tiff_data, tiff_has_alpha, tiff_orientation
from lightseg.errors import DataError
from lightseg.files.atomic import require_regular

_Fact = TypeVar("_Fact")

_NUMPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Readers of the header of a `.npy` file by its version; version 3 has names of fields beyond Latin-1."""

_MAGIC = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF", b"\x93NUM": "NumPy"}


def decode(path: Path, channels: int | None = None, page: int | None = None) -> Pixels:
    """Decode a file to its stored pixels.

    Args:
        path: The file; its content, not its name, selects the decoder.
        channels: Expected number of channels, which tells channel-first from channel-last; 0: unknown, so that the
            shorter axis is that of the channels; None: a mask.
        page: Page of a TIFF, from 0 on; None: the file is one image.

    Raises:
        DataError: If the format does not define the values reliably.
        Exception: Any exception of a decoder for a broken file.
    """
    kind = file_kind(path)
    if kind == "TIFF":
        return decode_tiff(path, channels, page)
    if kind == "NumPy":
        read_numpy_shape(path)
        return from_array(channels_last(path, np.load(path, allow_pickle=False), "", channels))
    return decode_pillow(path)


def file_kind(path: Path) -> str:
    """Return `TIFF`, `NumPy`, or an empty string for Pillow's formats, by the first bytes of a file.

    Raises:
        DataError: If it is no regular file; reading a pipe or device might never end.
    """
    require_regular(path, DataError)
    with path.open("rb") as file:
        return _MAGIC.get(file.read(4), "")


def header_size(path: Path, channels: int | None) -> tuple[int, int]:
    """Read height and width of `decode`'s result from the header only.

    Args:
        path: The file.
        channels: Expected number of channels, which tells channel-first from channel-last; None: a mask.

    Raises:
        DataError: If the file is no single image.
        Exception: Any exception of a decoder for a broken header.
    """
    kind = file_kind(path)
    if kind == "TIFF":
        import tifffile

        with tifffile.TiffFile(path) as file:
            series = only_series(path, file, channels)
            require_tiff_data(path, series)
            height, width = height_and_width(series.shape, series.axes, channels)
            return (width, height) if tiff_orientation(series.keyframe) > 4 else (height, width)
    if kind == "NumPy":
        return height_and_width(read_numpy_shape(path), "", channels)
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        require_png_data(path, image)
        return (width, height) if orientation(image) > 4 else (height, width)


def header_orientation(path: Path) -> int:
    """Read the EXIF orientation, 1..8, from the header only."""
    return _read_header(path, tiff_orientation, orientation, 1)


def header_has_alpha(path: Path) -> bool:
    """Return whether an image may have an alpha channel, or transparent colors of a palette, by its header only."""
    return _read_header(path, tiff_has_alpha, lambda image: image.has_transparency_data, False)


def _read_header(
    path: Path, from_tiff: Callable[[Any], _Fact], from_pillow: Callable[[Image.Image], _Fact], of_numpy: _Fact
) -> _Fact:
    """Return a fact about an image that its header states.

    Args:
        path: The file.
        from_tiff: Returns it of the first page of a TIFF.
        from_pillow: Returns it of a file that Pillow reads.
        of_numpy: That of `.npy` files.
    """
    kind = file_kind(path)
    if kind == "TIFF":
        import tifffile

        with tifffile.TiffFile(path) as file:
            return from_tiff(file.pages.first)
    if kind == "NumPy":
        return of_numpy
    with Image.open(path, formats=FORMATS) as image:
        return from_pillow(image)


def read_numpy_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of a `.npy` file from its header, after a check that it holds numbers and all of them.

    Raises:
        DataError: If it holds anything but real numbers.
        ValueError: If it is too small for its shape.
    """
    with path.open("rb") as file:
        read = _NUMPY_HEADERS.get(np.lib.format.read_magic(file))
        shape, _, dtype = read(file) if read else ((), False, np.dtype("V1"))
        length = path.stat().st_size - file.tell()
    if dtype.kind not in "buif":
        names = {"c": "complex numbers", "M": "dates", "m": "durations", "U": "text", "S": "text", "O": "objects"}
        content = names.get(dtype.kind, "records of several fields")
        raise DataError(f"{path}: holds {content}; save it as whole or floating-point numbers")
    require_planes(path, shape)
    if math.prod(shape) * dtype.itemsize > length:
        raise ValueError(f"its header says {'×'.join(map(str, shape))} values, more than its {length:,} bytes can hold")
    return shape
