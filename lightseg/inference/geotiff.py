"""Georeference of TIFF files, and masks that are written with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightseg.data.io.pixels import file_kind
from lightseg.data.io.tiff import tiff_orientation
from lightseg.labels import IGNORE, color_table

_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
"""Tags of scale, tie points, transformation, and of the keys of the coordinate system with their numbers and texts.

Source: OGC 2019, "GeoTIFF Standard", 19-008r4.
"""

_NODATA = 42113
"""GDAL's tag of the value of pixels without data."""

_TILE = 256
"""Side of the tiles in pixels."""

_CLASSIC_BYTES = 2**32 - 2**25
"""Limit of the pixels of a classic TIFF, whose offsets have 32 bits."""


@dataclass(frozen=True)
class Georeference:
    """Tags that place an image on the earth.

    Attributes:
        byteorder: Byte order of the numbers.
        tags: Code, type, count and bytes of each tag.
    """

    byteorder: Literal["<", ">"]
    tags: tuple[tuple[int, int, int, bytes], ...]


def read_georeference(path: Path, page: int | None) -> Georeference | None:
    """Return the georeference of a page of a TIFF; None if the file has none, or is no TIFF that can be read.

    Args:
        path: The file.
        page: Index of the page, from 0 on; None: the first.
    """
    import tifffile

    try:
        if file_kind(path) != "TIFF":
            return None
        with tifffile.TiffFile(path) as file:
            tiff_page = file.pages[page or 0].aspage()
            # the mask of a turned image is upright, so that the tags would not fit it
            if tiff_orientation(tiff_page) != 1:
                return None
            tags = []
            for code in _TAGS:
                if (tag := tiff_page.tags.get(code)) is not None:
                    file.filehandle.seek(tag.valueoffset)
                    content = file.filehandle.read(tag.valuebytecount)
                    tags.append((code, int(tag.dtype), tag.count, content))
            return Georeference(file.byteorder, tuple(tags)) if tags else None
    except Exception:  # reading the image reports the problem
        return None


def write_geotiff(
    path: Path,
    rows: Iterator[npt.NDArray[np.uint8]],
    size: tuple[int, int],
    palette: Sequence[Sequence[int]],
    georeference: Georeference,
    has_void: bool,
) -> None:
    """Write class ids as a compressed GeoTIFF with a palette, in tiles, so that a few rows are in memory.

    Args:
        path: The file.
        rows: Class ids from top to bottom, `(n, W)` each.
        size: Height and width.
        palette: One RGB color per class.
        georeference: Georeference of the image, whose tags are copied byte for byte.
        has_void: State that void pixels have no data.
    """
    # 257 turns 8 bits into 16
    colors = {"photometric": "palette", "colormap": color_table(palette).T.astype(np.uint16) * 257}
    _write(path, _tiles(rows, size[1]), size, georeference, has_void, **colors)


def write_channels(
    path: Path,
    channels: Sequence[Iterator[npt.NDArray[np.uint8]]],
    size: tuple[int, int],
    georeference: Georeference | None = None,
    has_void: bool = False,
) -> None:
    """Write masks of several classes as one compressed TIFF with a channel for each.

    Args:
        path: The file.
        channels: Rows of each channel from top to bottom, `(n, W)` each, read one channel after another.
        size: Height and width.
        georeference: Georeference of the image; None: it has none.
        has_void: State that void pixels have no data.
    """
    is_single = len(channels) == 1
    shape = size if is_single else (len(channels), *size)
    tiles = (tile for rows in channels for tile in _tiles(rows, size[1]))
    options = {"photometric": "minisblack", "planarconfig": None if is_single else "separate"}
    _write(path, tiles, shape, georeference, has_void, **options)


def _write(
    path: Path,
    tiles: Iterator[npt.NDArray[np.uint8]],
    shape: tuple[int, ...],
    georeference: Georeference | None,
    has_void: bool,
    **options: Any,
) -> None:
    import tifffile

    known_tags = georeference.tags if georeference is not None else ()
    tags = [(code, dtype, count, content, True) for code, dtype, count, content in known_tags]
    if has_void:
        tags.append((_NODATA, 2, 0, str(IGNORE).encode(), True))
    byteorder = georeference.byteorder if georeference is not None else None
    with tifffile.TiffWriter(path, bigtiff=math.prod(shape) > _CLASSIC_BYTES, byteorder=byteorder) as file:
        file.write(
            tiles,
            shape=shape,
            dtype=np.uint8,
            tile=(_TILE, _TILE),
            compression="zlib",
            extratags=tags,
            metadata=None,
            software=False,
            # other threads would read ahead without limit
            maxworkers=1,
            **options,
        )


def _tiles(rows: Iterator[npt.NDArray[np.uint8]], width: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the tiles of an image row by row; those at the edges are smaller."""
    strip, filled = np.empty((_TILE, width), np.uint8), 0
    for block in rows:
        for start in range(0, len(block), _TILE):
            part = block[start : start + _TILE]
            while len(part):
                tile_rows = part[: _TILE - filled]
                strip[filled : filled + len(tile_rows)] = tile_rows
                part, filled = part[len(tile_rows) :], filled + len(tile_rows)
                if filled == _TILE:
                    yield from _split(strip)
                    filled = 0
    if filled:
        yield from _split(strip[:filled])


def _split(strip: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    for x in range(0, strip.shape[1], _TILE):
        yield strip[:, x : x + _TILE]
