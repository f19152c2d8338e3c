"""PNG files in rows from top to bottom, which keeps large images and masks out of memory."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightseg.data.io.pillow_formats import from_pillow
from lightseg.data.io.stored_pixels import Pixels
from lightseg.labels import color_table

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Bytes per pixel of each colour type at 8 bits."""
_GROUP = 2**23
"""Bytes of rows that are decoded together."""


class PalettePng:
    """Writer of class ids as a palette PNG, row by row: values are the ids, colors the palette, the rest is white.

    Source: W3C 2003, "Portable Network Graphics (PNG) Specification (Second Edition)".

    Args:
        path: The file.
        size: Height and width.
        palette: One RGB color per class.
    """

    def __init__(self, path: Path, size: tuple[int, int], palette: Sequence[Sequence[int]]) -> None:
        self._file, self._deflate = path.open("wb"), zlib.compressobj()
        self._file.write(_SIGNATURE)
        _write_chunk(self._file, b"IHDR", _header(size[1], size[0], color_type=3))
        _write_chunk(self._file, b"PLTE", color_table(palette).tobytes())

    def write(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append rows, `(n, W)` uint8."""
        # each row begins with the number of its filter: 0, none, which suits a palette best
        filtered = np.pad(rows, ((0, 0), (1, 0)))
        if data := self._deflate.compress(filtered.tobytes()):
            _write_chunk(self._file, b"IDAT", data)

    def __enter__(self) -> "PalettePng":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                _write_chunk(self._file, b"IDAT", self._deflate.flush())
                _write_chunk(self._file, b"IEND", b"")


def can_be_streamed(path: Path) -> bool:
    """Return whether `png_rows` can read a file: a PNG of 8 bits, not interlaced."""
    with path.open("rb") as file:
        head = file.read(33)
    return head[:8] == _SIGNATURE and head[12:16] == b"IHDR" and head[24] == 8 and head[28] == 0


def png_rows(path: Path, _channels: int) -> Iterator[Pixels]:
    """Yield the rows of a PNG from top to bottom, as Pillow decodes them.

    Groups of rows are read from the compressed stream and decoded by Pillow as small PNGs. Each starts with the last
    row of the group before, to which the filter of a row may refer.

    Args:
        path: An 8-bit PNG that is not interlaced.

    Raises:
        OSError: If the file is truncated.
        zlib.error: If the compressed data is damaged.
    """
    with path.open("rb") as file:
        header, ancillary, stream = _open(file)
        width, height, _, color_type = struct.unpack(">IIBB", header[:10])
        row_bytes = 1 + width * _SAMPLES[color_type]
        last, top = b"", 0
        while top < height:
            rows = min(max(1, _GROUP // row_bytes), height - top)
            filtered = stream.read(rows * row_bytes)
            image = _small_png(width, rows + bool(last), color_type, ancillary, last + filtered)
            pixels = from_pillow(image)
            yield pixels._replace(array=pixels.array[1 if last else 0 :])
            last, top = b"\0" + np.asarray(image)[-1].tobytes(), top + rows


class _Inflated(io.RawIOBase):
    """Image data of all IDAT chunks, decompressed on demand."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        super().__init__()
        self._file, self._remaining, self._inflate = file, length, zlib.decompressobj()

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        num_missing = size
        while num_missing:
            data = self._inflate.unconsumed_tail or self._compressed()
            parts.append(self._inflate.decompress(data, num_missing))
            num_missing -= len(parts[-1])
        return b"".join(parts)

    def _compressed(self) -> bytes:
        while not self._remaining:
            self._file.seek(4, io.SEEK_CUR)
            self._remaining, kind = _chunk_head(self._file)
            if kind != b"IDAT":
                raise OSError("its image data ends too early")
        data = self._file.read(min(self._remaining, 2**20))
        if not data:
            raise OSError("image file is truncated")
        self._remaining -= len(data)
        return data


def _open(file: BinaryIO) -> tuple[bytes, list[tuple[bytes, bytes]], _Inflated]:
    """Return the header, the chunks of palette and transparency, and the image data."""
    file.seek(len(_SIGNATURE))
    header = b""
    ancillary: list[tuple[bytes, bytes]] = []
    while True:
        length, kind = _chunk_head(file)
        if kind == b"IDAT":
            return header, ancillary, _Inflated(file, length)
        content = file.read(length)
        file.seek(4, io.SEEK_CUR)
        header = content if kind == b"IHDR" else header
        if kind in (b"PLTE", b"tRNS"):
            ancillary.append((kind, content))


def _small_png(
    width: int, height: int, color_type: int, ancillary: list[tuple[bytes, bytes]], filtered: bytes
) -> Image.Image:
    file = io.BytesIO()
    file.write(_SIGNATURE)
    _write_chunk(file, b"IHDR", _header(width, height, color_type))
    for kind, content in ancillary:
        _write_chunk(file, kind, content)
    _write_chunk(file, b"IDAT", zlib.compress(filtered, 0))
    _write_chunk(file, b"IEND", b"")
    file.seek(0)
    image = Image.open(file, formats=("PNG",))
    image.load()
    return image


def _header(width: int, height: int, color_type: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)


def _chunk_head(file: BinaryIO) -> tuple[int, bytes]:
    head = file.read(8)
    if len(head) < 8:
        raise OSError("image file is truncated")
    length, kind = struct.unpack(">I4s", head)
    return length, kind


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
