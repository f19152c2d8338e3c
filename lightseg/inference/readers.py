"""Images that are read from top to bottom, so that they need not be in memory; pixels are those of `read_image`."""

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
"""Pixels above which an image is not read at once, and, unless told, not shown_page to the net at once: 4096 × 4096."""

_STRIP = 2**24
"""Bytes, about, that are given on at once."""

Strips = Callable[[Path, int], Iterator[Pixels]]
"""Reads a file that is to have so many channels: the rows of its image from top to bottom."""


@dataclass(frozen=True)
class Source:
    """Image of any size.

    Attributes:
        name: What it is called in messages.
        size: Height and width.
        strips: Begins to read it: its rows from top to bottom, `(n, W, C)` each, uint8 or float32 in 0..1.
    """

    name: str
    size: tuple[int, int]
    strips: Callable[[], Iterator[Array]]

    def whole(self) -> Array:
        """All of it, `(H, W, C)`."""
        strips = self.strips()
        first, top = next(strips), 0
        if len(first) == self.size[0]:
            return first
        array = np.empty((self.size[0], *first.shape[1:]), first.dtype)
        for strip in chain([first], strips):
            array[top : top + len(strip)] = strip
            top += len(strip)
        return array


class Rows:
    """Reads rows of a source from top to bottom, and keeps those that may be asked for again.

    Args:
        source: The image.
        device: Where the rows are wanted.
    """

    def __init__(self, source: Source, device: torch.device) -> None:
        self._strips, self._device = source.strips(), device
        self._kept: list[Array] = []
        self._top = 0

    def __call__(self, first: int, last: int) -> Tensor:
        """Return the rows from `first`, which never goes back, to before `last`: `(C, last - first, W)`."""
        parts = [part[first - self._top :] for part in self._kept]
        bottom = first + sum(map(len, parts))
        while bottom < last:
            parts.append(next(self._strips))
            bottom += len(parts[-1])
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._kept, self._top = [rows], first
        return torch.from_numpy(np.ascontiguousarray(rows[: last - first].transpose(2, 0, 1))).to(self._device)


def of_array(array: Array, name: str) -> Source:
    """Return an image `(H, W, C)` that is in memory."""
    return Source(name, (array.shape[0], array.shape[1]), lambda: iter([array]))


def of_file(path: Path, channels: int, page: int | None = None, values: ImageValues = AS_STORED) -> Source:
    """Return an image in a file.

    A large one is read part by part where its format lets it: PNG of 8 bits, TIFF (but for planar ones) and `.npy`. Of
    a large JPEG the values are in memory once. What is left is read as any other image.

    Args:
        path: The file.
        channels: Number of channels wanted; see `read_image`.
        page: Which page of a TIFF, from 0 on; None: all of it is one image.
        values: The meaning of the values, where the depth of the file does not say it.

    Raises:
        DataError: If the file cannot be read; the message names it.
    """
    size = image_size(path, channels) if page is None else _page_size(path, page)
    if size[0] * size[1] <= LARGE:
        return of_array(read_image(path, channels, page, values), str(path))
    with name_file_in_errors(path, "image"):
        kind = file_kind(path)
        strips = (
            _tiff_strips(path, page) if kind == "TIFF" else _numpy_strips if kind == "NumPy" else _pillow_strips(path)
        )
    return Source(str(path), size, partial(_as_images, path, channels, values, strips or partial(_at_once, page=page)))


def _page_size(path: Path, page: int) -> tuple[int, int]:
    import tifffile

    with name_file_in_errors(path, "image"), tifffile.TiffFile(path) as file:
        shown_page = file.pages[page].aspage()
        require_tiff_data(path, shown_page)
        size = shown_page.imagelength, shown_page.imagewidth
        return size if tiff_orientation(shown_page) < 5 else (size[1], size[0])


def _as_images(path: Path, channels: int, values: ImageValues, strips: Strips) -> Iterator[Array]:
    """Yield what a decoder gives, in strips of moderate size, with the type and the channels of `read_image`."""
    with name_file_in_errors(path, "image"):
        for strip in strips(path, channels):
            rows = max(1, _STRIP // max(1, strip.array[:1].nbytes))
            for top in range(0, len(strip.array), rows):
                yield as_image(path, strip._replace(array=strip.array[top : top + rows]), channels, values)


def _at_once(path: Path, channels: int, page: int | None) -> Iterator[Pixels]:
    yield decode(path, channels, page)


def _pillow_strips(path: Path) -> Strips | None:
    with Image.open(path, formats=FORMATS) as image:
        if image.format == "PNG" and orientation(image) == 1 and can_be_streamed(path):
            return png_rows
        if image.format == "JPEG" and image.mode in ("L", "RGB") and _is_complete(path):
            return partial(_jpeg, turned=orientation(image))
    return None


def _is_complete(path: Path) -> bool:
    """Return whether a JPEG ends as it should; imagecodecs would not say if not."""
    with path.open("rb") as file:
        file.seek(-min(64, path.stat().st_size), 2)
        return file.read().rstrip(b"\0").endswith(b"\xff\xd9")


def _jpeg(path: Path, _channels: int, turned: int) -> Iterator[Pixels]:
    import imagecodecs

    # Pillow would need four bytes per pixel, and four more for each step towards an array
    array = imagecodecs.jpeg_decode(path.read_bytes())
    yield from_array(turn(array.reshape(*array.shape[:2], -1), turned))


def _numpy_strips(path: Path, channels: int) -> Iterator[Pixels]:
    def mapped() -> Array:
        return channels_last(path, np.load(path, mmap_mode="r", allow_pickle=False), "", channels)

    rows = max(1, _STRIP // mapped()[:1].nbytes)
    for top in range(0, len(mapped()), rows):
        # mapped anew each time, or all that was read would stay in memory
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
        assert page.dtype is not None, "it could not be mapped"
        kind, offset = page.dtype.newbyteorder(file.byteorder), page.dataoffsets[0]
        rows = max(1, _STRIP // (shape[1] * shape[2] * kind.itemsize))
        for top in range(0, shape[0], rows):
            mapped = np.memmap(path, kind, "r", offset, shape)
            yield from_tiff(path, page, mapped[top : top + rows].astype(page.dtype))


def _tiff_segments(path: Path, _channels: int, number: int) -> Iterator[Pixels]:
    """Yield the rows of tiles, or the strips, of a page."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[number].aspage()
        height, width = page.imagelength, page.imagewidth
        tall = page.tilelength if page.is_tiled else page.rowsperstrip
        top, rows = 0, None
        for segment, (_, _, at, left, _), _ in page.segments(maxworkers=1, buffersize=_STRIP):
            if rows is not None and at != top:
                yield from_tiff(path, page, rows)
                rows = None
            if rows is None:
                top = at
                rows = np.full((min(tall, height - top), width, page.samplesperpixel), page.nodata, page.dtype)
            if segment is not None:
                part = segment[0, : len(rows), : width - left]
                rows[: part.shape[0], left : left + part.shape[1]] = part
        assert rows is not None, "a page has segments"
        yield from_tiff(path, page, rows)
