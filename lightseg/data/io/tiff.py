"""Decoding of TIFF files: pages, compressions, photometric interpretation and orientation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightseg.data.io.stored_pixels import Pixels, channels_last, cmyk_to_rgb, require_data, turn
from lightseg.data.types import Array
from lightseg.errors import DataError

if TYPE_CHECKING:
    import tifffile

_LOSSY_TIFF = frozenset({6, 7, 22610, 33003, 33004, 33005, 33007, 34712, 34887, 34892, 34934, 50001, 50002})
"""Compressions of a TIFF that may change its values: JPEG and its successors, WebP, LERC."""

_EXPANSIONS = {1: 4, 5: 1500, 8: 1100, 32773: 128, 32946: 1100}
"""Upper bound of the bytes that one byte of a TIFF decodes to: uncompressed, LZW, deflate, PackBits."""

_ANY_EXPANSION = 2**16
"""That of all other compressions."""

_EMPTY_SEGMENT = 2**24
"""Upper bound of the bytes of a strip or tile that a sparse TIFF omits."""

_JPEG_IN_TIFF = frozenset({6, 7, 33007})
_REDUCED_OR_MASK = 0b101
_ALPHA = (1, 2)
_GRAY = (0, 1, 4)
"""Photometric interpretations of a TIFF with gray samples: white at 0, black at 0, transparency mask."""


def decode_tiff(path: Path, channels: int | None, page_index: int | None) -> Pixels:
    """Decode a TIFF, or one page of it; see `lightseg.data.io.pixels.decode`.

    Raises:
        DataError: If its colors are of a kind that is not read, or the file is shorter than its header says.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        image: Any = only_series(path, file, channels) if page_index is None else file.pages[page_index].aspage()
        page = image.keyframe if page_index is None else image
        if page.photometric is not None and int(page.photometric) == 6 and page.compression not in _JPEG_IN_TIFF:
            raise DataError(f"{path}: stores its colors as YCBCR; convert it to RGB")
        require_tiff_data(path, image)
        pixels = from_tiff(path, page, channels_last(path, image.asarray(), image.axes, channels))
        is_written_so = str(page.tags.valueof(305)).startswith("tifffile")
        is_negative = is_written_so and pixels.white == 1 and int(page.photometric) == 0
        return pixels._replace(array=turn(pixels.array, tiff_orientation(page)), is_negative=is_negative)


def from_tiff(name: Path | str, page: tifffile.TiffPage, array: Array) -> Pixels:
    """Interpret the stored values of a TIFF page by its tags.

    Args:
        name: The file, for messages.
        page: The page.
        array: Its stored values `(H, W, C)`, or some rows of them.

    Raises:
        DataError: If its color space is not supported.
    """
    bits, kind = page.bitspersample, array.dtype.kind
    white = (1 << bits) - 1 if kind in "ub" and bits <= 16 else 0
    if kind == "b":
        array = array.view(np.uint8)
    is_jpeg = page.compression in _JPEG_IN_TIFF
    lossy = (
        f"{getattr(page.compression, 'name', page.compression)}-compressed TIFF"
        if page.compression in _LOSSY_TIFF
        else ""
    )
    photometric = int(page.photometric)
    has_alpha = tiff_has_alpha(page)
    if photometric == 3 and page.colormap is not None:
        if (pages := array.shape[2] - len(page.extrasamples or ())) > 1:
            raise DataError(f"{name}: holds {pages} pages with a palette; save each as a file of its own")
        # some writers fill in 8 of the 16 bits
        shift = 8 if page.colormap.max() > 255 else 0
        return Pixels(array, white, palette=(page.colormap >> shift).astype(np.uint8).T, lossy=lossy)
    if photometric == 0 and white:
        # an alpha channel is not inverted
        num_gray = array.shape[2] - len(page.extrasamples or ())
        array = np.concatenate([white - array[..., :num_gray], array[..., num_gray:]], axis=2).astype(array.dtype)
    elif photometric == 5 and white and not is_jpeg and array.shape[2] >= 4 and _tag(page, 332, 1) == 1:
        rgb = cmyk_to_rgb(array[..., :4], white)
        return Pixels(np.concatenate([rgb, array[..., 4:]], axis=2), white, has_alpha, lossy=lossy, is_cmyk=True)
    elif photometric not in (1, 2, 4, 34892) and not (photometric == 6 and is_jpeg):
        colors = getattr(page.photometric, "name", str(photometric))
        raise DataError(f"{name}: stores its colors as {colors} {array.dtype}; convert it to RGB or to gray")
    return Pixels(array, white, has_alpha, lossy=lossy, has_bands=photometric in _GRAY)


def only_series(path: Path, file: tifffile.TiffFile, channels: int | None) -> tifffile.TiffPageSeries:
    """Return the image of a TIFF that holds exactly one, beside its overviews and transparency masks.

    Raises:
        DataError: If there are several, or a mask has several pages.
    """
    images = [series for series in file.series if not series.keyframe.subfiletype & _REDUCED_OR_MASK]
    pages = len(images[0].pages) if channels is None and images else 1
    if len(images) > 1 or pages > 1:
        raise DataError(f"{path}: holds {max(pages, len(images))} pages; save each as a file of its own")
    return (images or list(file.series))[0]


def tiff_orientation(page: Any) -> int:
    """Return the orientation of a TIFF page, 1..8, as EXIF defines it."""
    number = _tag(page, 274, 1)
    return number if number in range(1, 9) else 1


def tiff_has_alpha(page: Any) -> bool:
    """Return whether the last channel of a TIFF page is an alpha."""
    return bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA


def require_tiff_data(path: Path, image: Any) -> None:
    """Check that the strips or tiles of a TIFF are large enough for its shape, before memory is allocated.

    Args:
        path: The file.
        image: A page or a series of it.

    Raises:
        ValueError: If they are too small.
    """
    page = image.keyframe
    length, expansion = path.stat().st_size, _EXPANSIONS.get(int(page.compression), _ANY_EXPANSION)
    # several segments may share their bytes
    stored = max(length, sum(min(count, length) for count in page.databytecounts))
    empty_segments = page.databytecounts.count(0) * (1 if image is page else len(image))
    capacity = stored * expansion + empty_segments * _EMPTY_SEGMENT
    require_data(path, math.prod(image.shape) * page.bitspersample / 8, capacity, (page.imagewidth, page.imagelength))


def _tag(page: Any, code: int, default: int) -> int:
    value = page.tags.valueof(code, default)
    return int(value) if isinstance(value, int) else default
