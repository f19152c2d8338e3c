"""Images read in strips from top to bottom, in bounded memory; pixels are those of `read_image`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightseg.data.io.images import AS_STORED, ImageValues, as_image, image_size, name_file_in_errors, read_image
from lightseg.data.io.pixels import (
    FORMATS,
    Pixels,
    channels_last,
    decode,
    file_kind,
    from_array,
    from_tiff,
    orientation,
    require_tiff_data,
    tiff_orientation,
    turn,
)
from lightseg.data.types import Array
from lightseg.inference.png_writer import can_be_streamed, png_rows

LARGE = 2**24
"""Number of pixels above which an image is read in strips and, by default, predicted in windows: 4096 × 4096."""

_STRIP = 2**24
"""Approximate bytes of a strip."""

Strips = Callable[[Path, int], Iterator[Pixels]]
"""Reads a file, for a number of channels, as strips from top to bottom."""


@dataclass(frozen=True)
class Source:
    """Image of any size.

    Attributes:
        name: Name in messages.
        size: Height and width.
        strips: Starts reading: rows from top to bottom, `(n, W, C)` each, uint8 or float32 in 0..1.
    """

    name: str
    size: tuple[int, int]
    strips: Callable[[], Iterator[Array]]

    def whole(self) -> Array:
        """Return the entire image, `(H, W, C)`."""
        strips = self.strips()
        first, top = next(strips), 0
        if len(first) == self.size[0]:
            return first
        array = np.empty((self.size[0], *first.shape[1:]), first.dtype)
        for strip in chain([first], strips):
            array[top : top + len(strip)] = strip
            top += len(strip)
        return array


class RowReader:
    """Reader of rows of a source from top to bottom, which buffers the rows that the next call may repeat.

    Args:
        source: The image.
        device: Device of the rows.
    """

    def __init__(self, source: Source, device: torch.device) -> None:
        self._strips, self._device = source.strips(), device
        self._buffer: list[Array] = []
        self._top = 0

    def __call__(self, first: int, last: int) -> Tensor:
        """Return the rows `first:last`, `(C, last - first, W)`; `first` must not decrease between calls."""
        parts = [part[first - self._top :] for part in self._buffer]
        bottom = first + sum(map(len, parts))
        while bottom < last:
            parts.append(next(self._strips))
            bottom += len(parts[-1])
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._buffer, self._top = [rows], first
        return torch.from_numpy(np.ascontiguousarray(rows[: last - first].transpose(2, 0, 1))).to(self._device)


def source_from_array(array: Array, name: str) -> Source:
    """Return the source of an image `(H, W, C)` in memory."""
    return Source(name, (array.shape[0], array.shape[1]), lambda: iter([array]))


def source_from_file(path: Path, channels: int, page: int | None = None, values: ImageValues = AS_STORED) -> Source:
    """Return the source of an image in a file.

    A large image is read in strips where its format allows it: PNG of 8 bits, TIFF (except planar) and `.npy`. A large
    JPEG is in memory once. Other formats are read as any image.

    Args:
        path: The file.
        channels: Number of channels of the result; see `read_image`.
        page: Index of the page of a TIFF, from 0 on; None: the file is one image.
        values: The meaning of the values, where the depth of the file does not define it.

    Raises:
        DataError: If the file cannot be read; the message names it.
    """
    size = image_size(path, channels) if page is None else _page_size(path, page)
    if size[0] * size[1] <= LARGE:
        return source_from_array(read_image(path, channels, page, values), str(path))
    with name_file_in_errors(path, "image"):
        strips = _strips(path, page) or partial(_read_whole, page=page)
    return Source(str(path), size, partial(_as_images, path, channels, values, strips))


def _strips(path: Path, page: int | None) -> Strips | None:
    """Return the reader of strips for a file; None if its format has none."""
    kind = file_kind(path)
    if kind == "TIFF":
        return _tiff_strips(path, page)
    return _numpy_strips if kind == "NumPy" else _pillow_strips(path)


def _page_size(path: Path, page: int) -> tuple[int, int]:
    import tifffile

    with name_file_in_errors(path, "image"), tifffile.TiffFile(path) as file:
        tiff_page = file.pages[page].aspage()
        require_tiff_data(path, tiff_page)
        size = tiff_page.imagelength, tiff_page.imagewidth
        return size if tiff_orientation(tiff_page) < 5 else (size[1], size[0])


def _as_images(path: Path, channels: int, values: ImageValues, strips: Strips) -> Iterator[Array]:
    """Yield the output of a decoder in strips of moderate size, with the type and the channels of `read_image`."""
    with name_file_in_errors(path, "image"):
        for strip in strips(path, channels):
            rows = max(1, _STRIP // max(1, strip.array[:1].nbytes))
            for top in range(0, len(strip.array), rows):
                yield as_image(path, strip._replace(array=strip.array[top : top + rows]), channels, values)


def _read_whole(path: Path, channels: int, page: int | None) -> Iterator[Pixels]:
    yield decode(path, channels, page)


def _pillow_strips(path: Path) -> Strips | None:
    with Image.open(path, formats=FORMATS) as image:
        if image.format == "PNG" and orientation(image) == 1 and can_be_streamed(path):
            return png_rows
        if image.format == "JPEG" and image.mode in ("L", "RGB") and _is_complete(path):
            return partial(_jpeg, exif_orientation=orientation(image))
    return None


def _is_complete(path: Path) -> bool:
    """Return whether a JPEG ends with its end marker; imagecodecs does not report its absence."""
    with path.open("rb") as file:
        file.seek(-min(64, path.stat().st_size), 2)
        return file.read().rstrip(b"\0").endswith(b"\xff\xd9")


def _jpeg(path: Path, _channels: int, exif_orientation: int) -> Iterator[Pixels]:
    import imagecodecs

    # Pillow would need four bytes per pixel, and four more for each step towards an array
    array = imagecodecs.jpeg_decode(path.read_bytes())
    yield from_array(turn(array.reshape(*array.shape[:2], -1), exif_orientation))


def _numpy_strips(path: Path, channels: int) -> Iterator[Pixels]:
    def mapped() -> Array:
        return channels_last(path, np.load(path, mmap_mode="r", allow_pickle=False), "", channels)

    rows = max(1, _STRIP // mapped()[:1].nbytes)
    for top in range(0, len(mapped()), rows):
        # mapped anew for each strip, since a mapping keeps its pages in memory
        yield from_array(np.array(mapped()[top : top + rows]))


def _tiff_strips(path: Path, number: int | None) -> Strips | None:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[number or 0].aspage()
        is_one_page = number is not None or file.series[0].shape == page.shape
        interleaved = page.samplesperpixel == 1 or page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        if not (is_one_page and interleaved and page.imagedepth == 1 and tiff_orientation(page) == 1):
            return None
        return partial(_tiff_mapped if page.is_memmappable else _tiff_segments, number=number or 0)


def _tiff_mapped(path: Path, _channels: int, number: int) -> Iterator[Pixels]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[number].aspage()
        shape = page.imagelength, page.imagewidth, page.samplesperpixel
        assert page.dtype is not None, "the page is memory-mappable"
        dtype, offset = page.dtype.newbyteorder(file.byteorder), page.dataoffsets[0]
        rows = max(1, _STRIP // (shape[1] * shape[2] * dtype.itemsize))
        for top in range(0, shape[0], rows):
            mapped = np.memmap(path, dtype, "r", offset, shape)
            yield from_tiff(path, page, mapped[top : top + rows].astype(page.dtype))


def _tiff_segments(path: Path, _channels: int, number: int) -> Iterator[Pixels]:
    """Yield the rows of tiles, or the strips, of a page."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[number].aspage()
        height, width = page.imagelength, page.imagewidth
        segment_rows = page.tilelength if page.is_tiled else page.rowsperstrip
        top, rows = 0, None
        for segment, (_, _, y, x, _), _ in page.segments(maxworkers=1, buffersize=_STRIP):
            if rows is not None and y != top:
                yield from_tiff(path, page, rows)
                rows = None
            if rows is None:
                top = y
                rows = np.full((min(segment_rows, height - top), width, page.samplesperpixel), page.nodata, page.dtype)
            if segment is not None:
                part = segment[0, : len(rows), : width - x]
                rows[: part.shape[0], x : x + part.shape[1]] = part
        assert rows is not None, "a page has segments"
        yield from_tiff(path, page, rows)
