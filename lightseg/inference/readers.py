"""Images read in strips from top to bottom, in bounded memory; pixels are those of `read_image`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from lightseg.data.io.image_values import AS_STORED, ImageValues, Missing
from lightseg.data.io.images import (
    image_size,
    missing_pixels,
    name_file_in_errors,
    read_image_and_missing,
    to_image,
)
from lightseg.data.io.pillow_formats import FORMATS, orientation
from lightseg.data.io.pixels import decode, file_kind
from lightseg.data.io.stored_pixels import Pixels, channels_last, from_array, is_channel_first, turn
from lightseg.data.io.tiff import from_tiff, only_series, require_tiff_data, tiff_orientation
from lightseg.data.types import Array
from lightseg.inference.png_writer import can_be_streamed, png_rows

if TYPE_CHECKING:
    import tifffile

LARGE = 2**24
"""Number of pixels above which an image is read in strips and, by default, predicted in windows: 4096 × 4096."""

_STRIP = 2**24
"""Approximate bytes of a strip."""

_JPEG = frozenset({6, 7, 33007, 34892})
"""Compressions of a TIFF whose segments share tables."""

_Element = TypeVar("_Element", bound=np.generic)

Strips = Callable[[Path, int], Iterator[Pixels]]
"""Reads a file, for a number of channels, as strips from top to bottom."""


@dataclass(frozen=True)
class Source:
    """Image of any size.

    Attributes:
        name: Name in messages.
        size: Height and width.
        strips: Starts reading: rows from top to bottom, `(n, W, C)` each, uint8 or float32 in 0..1.
        missing_strips: Starts reading: missing pixels from top to bottom, `(n, W)` each; None: no value marks them.
    """

    name: str
    size: tuple[int, int]
    strips: Callable[[], Iterator[Array]]
    missing_strips: Callable[[], Iterator[Missing]] | None = None

    def to_array(self) -> Array:
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
    """Reader of rows of a source from top to bottom, which keeps the rows that the next call may repeat.

    Args:
        source: The image.
        device: Device of the rows.
    """

    def __init__(self, source: Source, device: torch.device) -> None:
        self._strips, self._device = StripReader(source.strips()), device
        self._rows: Array | None = None
        self._top = 0

    def __call__(self, first: int, last: int) -> Tensor:
        """Return the rows `first:last`, `(C, last - first, W)`; neither may decrease between calls."""
        repeated = None if self._rows is None else self._rows[:, first - self._top :].copy()
        # freed before its successor is allocated
        self._rows, self._top = None, first
        bottom = first if repeated is None else first + repeated.shape[1]
        self._strips.skip_to(bottom)
        rows = repeated
        for part in self._strips.read(last):
            if rows is repeated:
                rows = np.empty((part.shape[2], last - first, part.shape[1]), part.dtype)
            assert rows is not None
            rows[:, bottom - first : bottom - first + len(part)] = part.transpose(2, 0, 1)
            bottom += len(part)
        assert rows is not None, "there are rows to return"
        if rows is not repeated and repeated is not None:
            rows[:, : repeated.shape[1]] = repeated
        self._rows = rows
        return torch.from_numpy(rows).to(self._device)


class StripReader(Generic[_Element]):
    """Reader of strips in parts that end at any row.

    Args:
        strips: Rows from top to bottom, `(n, W, …)` each.
    """

    def __init__(self, strips: Iterator[npt.NDArray[_Element]]) -> None:
        self._strips = strips
        self._remainder: npt.NDArray[_Element] | None = None
        self._row = 0

    def read(self, last: int) -> Iterator[npt.NDArray[_Element]]:
        """Yield the next rows in parts, up to the row `last`, without it."""
        while self._row < last:
            strip = next(self._strips) if self._remainder is None else self._remainder
            part = strip[: last - self._row]
            self._remainder = strip[len(part) :] if len(part) < len(strip) else None
            self._row += len(part)
            yield part

    def skip_to(self, row: int) -> None:
        """Skip the rows before one."""
        for _ in self.read(row):
            pass


def source_from_array(array: Array, name: str, is_missing: Missing | None = None) -> Source:
    """Return the source of an image `(H, W, C)` in memory, with its missing pixels `(H, W)`."""
    size = array.shape[0], array.shape[1]
    return Source(name, size, lambda: iter([array]), None if is_missing is None else lambda: iter([is_missing]))


def source_from_file(path: Path, channels: int, page: int | None = None, values: ImageValues = AS_STORED) -> Source:
    """Return the source of an image in a file.

    A large image is read in strips where its format allows it: PNG of 8 bits, TIFF and `.npy`. A large JPEG is in
    memory once. Other formats are read as any image.

    Args:
        path: The file.
        channels: Number of channels of the result; see `read_image`.
        page: Index of the page of a TIFF, from 0 on; None: the file is one image.
        values: Bands, range and nodata value, where the file does not define them.

    Raises:
        DataError: If the file cannot be read; the message names it.
    """
    stored_channels = values.stored_channels(channels)
    size = image_size(path, stored_channels) if page is None else _page_size(path, page)
    if size[0] * size[1] <= LARGE:
        image, is_missing = read_image_and_missing(path, channels, page, values)
        return source_from_array(image, str(path), is_missing)
    with name_file_in_errors(path, "image"):
        strips = _strips(path, stored_channels, page) or partial(_read_whole, page=page)
    pixels = partial(_moderate_strips, path, stored_channels, strips)
    return Source(
        str(path),
        size,
        lambda: (to_image(path, strip, channels, values)[0] for strip in pixels()),
        (lambda: (missing_pixels(path, strip, channels, values) for strip in pixels())) if values.voids_masks else None,
    )


def _strips(path: Path, channels: int, page: int | None) -> Strips | None:
    """Return the reader of strips for a file; None if its format has none."""
    kind = file_kind(path)
    if kind == "TIFF":
        return _tiff_strips(path, channels, page)
    return _numpy_strips if kind == "NumPy" else _pillow_strips(path)


def _page_size(path: Path, page: int) -> tuple[int, int]:
    import tifffile

    with name_file_in_errors(path, "image"), tifffile.TiffFile(path) as file:
        tiff_page = file.pages[page].aspage()
        require_tiff_data(path, tiff_page)
        size = tiff_page.imagelength, tiff_page.imagewidth
        return size if tiff_orientation(tiff_page) < 5 else (size[1], size[0])


def _moderate_strips(path: Path, channels: int, strips: Strips) -> Iterator[Pixels]:
    """Yield the output of a decoder in strips of moderate size."""
    with name_file_in_errors(path, "image"):
        for strip in strips(path, channels):
            rows = max(1, _STRIP // max(1, strip.array[:1].nbytes))
            for top in range(0, len(strip.array), rows):
                yield strip._replace(array=strip.array[top : top + rows])


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


def _tiff_strips(path: Path, channels: int, number: int | None) -> Strips | None:
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages = _image_pages(path, file, channels, number)
        if pages is None or any(page.imagedepth != 1 or tiff_orientation(page) != 1 for page in pages):
            return None
        is_mapped = all(page.is_memmappable for page in pages)
        return partial(_tiff_mapped if is_mapped else _tiff_segments, number=number)


def _image_pages(
    path: Path, file: tifffile.TiffFile, channels: int, number: int | None
) -> list[tifffile.TiffPage] | None:
    """Return the pages of an image, which are one, or one for each band; None if they are neither."""
    if number is not None:
        return [file.pages[number].aspage()]
    series = only_series(path, file, channels)
    pages = [page.aspage() for page in series.pages if page is not None]
    if len(pages) == 1 and series.shape == pages[0].shape:
        return pages
    are_bands = (
        series.shape == (len(pages), *pages[0].shape)
        and pages[0].samplesperpixel == 1
        and is_channel_first(series.shape, series.axes, channels)
    )
    return pages if are_bands else None


def _tiff_mapped(path: Path, channels: int, number: int | None) -> Iterator[Pixels]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages = _image_pages(path, file, channels, number)
        assert pages is not None
        page = pages[0]
        assert page.dtype is not None, "the page is memory-mappable"
        height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
        dtype, is_planar = page.dtype.newbyteorder(file.byteorder), _is_planar(page)
        shape = (samples, height, width) if is_planar else (height, width, samples)
        rows = max(1, _STRIP // (width * samples * len(pages) * dtype.itemsize))
        for top in range(0, height, rows):
            # mapped anew for each strip, since a mapping keeps its pages in memory
            maps = [np.memmap(path, dtype, "r", band.dataoffsets[0], shape) for band in pages]
            parts = [
                np.moveaxis(band[:, top : top + rows], 0, -1) if is_planar else band[top : top + rows] for band in maps
            ]
            yield from_tiff(path, page, np.concatenate(parts, axis=2).astype(page.dtype, copy=False))


def _tiff_segments(path: Path, channels: int, number: int | None) -> Iterator[Pixels]:
    """Yield the rows of tiles, or the strips, of an image, whose bands may be interleaved, planes or pages."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages = _image_pages(path, file, channels, number)
        assert pages is not None
        page = pages[0]
        height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
        segment_rows = page.tilelength if page.is_tiled else page.rowsperstrip
        for top in range(0, height, segment_rows):
            rows = np.full((min(segment_rows, height - top), width, samples * len(pages)), page.nodata, page.dtype)
            for band, band_page in enumerate(pages):
                for segment, (plane, _, _, x, _), _ in _segments(band_page, top // segment_rows):
                    if segment is not None:
                        part = segment[0, : len(rows), : width - x]
                        first = band + plane
                        rows[: part.shape[0], x : x + part.shape[1], first : first + part.shape[2]] = part
            yield from_tiff(path, page, rows)


def _segments(page: tifffile.TiffPage, row: int) -> Iterator[Any]:
    """Yield the decoded tiles of one row of tiles, or the strips of one row of strips, of all planes of a page."""
    planes, across = page.samplesperpixel if _is_planar(page) else 1, 1
    if page.is_tiled:
        across = -(-page.imagewidth // page.tilewidth)
    per_plane = len(page.dataoffsets) // planes
    indices = [plane * per_plane + row * across + column for plane in range(planes) for column in range(across)]
    options: dict[str, Any] = {}
    if page.compression in _JPEG:
        options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
    offsets, counts = ([values[index] for index in indices] for values in (page.dataoffsets, page.databytecounts))
    for data, index in page.parent.filehandle.read_segments(offsets, counts, indices, sort=False, buffersize=_STRIP):
        yield page.decode(data, index, **options)


def _is_planar(page: tifffile.TiffPage) -> bool:
    """Return whether the samples of a page are separate planes."""
    return page.samplesperpixel > 1 and page.planarconfig == 2
