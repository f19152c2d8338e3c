"""Decoder of PBM, PGM and PPM files to their stored values, which other decoders stretch to 8 or 16 bits."""

import re

import numpy as np
import numpy.typing as npt

from lightseg.data.types import Array

_CHANNELS = {1: 1, 2: 1, 3: 3, 4: 1, 5: 1, 6: 3}
_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]+)")


def read_netpbm(data: bytes) -> tuple[Array, int]:
    """Read the first image of a file.

    Source: netpbm.sourceforge.net, "pbm", "pgm", "ppm".

    Args:
        data: Content of the file.

    Returns:
        The image `(H, W, C)` uint8 or uint16, and the value of white.

    Raises:
        ValueError: If the content is no such file, or is truncated.
    """
    if not re.match(rb"P[1-6]\s", data):
        raise ValueError("only PBM, PGM and PPM of integers are read")
    kind, offset = int(data[1:2]), 2
    numbers = []
    for _ in range(2 if kind in (1, 4) else 3):
        number, offset = _read_number(data, offset)
        numbers.append(number)
    width, height, white = (*numbers, 1)[:3]
    if not (width > 0 and height > 0 and 0 < white < 1 << 16):
        raise ValueError(f"its header gives {width}×{height} and the white {white}")
    shape = height, width, _CHANNELS[kind]
    if kind < 4:
        values = _read_text(data, offset, kind, int(np.prod(shape)))
    else:
        values = _read_binary(data, offset + 1, kind, shape, white)
    if values.max() > white:
        raise ValueError(f"it holds {values.max()}, but its white is {white}")
    # a bit of 1 is black in PBM
    values = 1 - values if kind in (1, 4) else values
    return values.reshape(shape).astype(np.uint8 if white < 256 else np.uint16), white


def _read_number(data: bytes, offset: int) -> tuple[int, int]:
    """Return the next number of the header and the offset behind it."""
    token = _TOKEN.match(data, offset)
    if token is None or not token[1].isdigit():
        raise ValueError("its header is broken")
    return int(token[1]), token.end()


def _read_text(data: bytes, offset: int, kind: int, count: int) -> Array:
    text = re.sub(rb"#[^\n\r]*", b"", data[offset:])
    # bits need no space between them
    numbers = re.findall(rb"[01]" if kind == 1 else rb"\d+", text)[:count]
    if len(numbers) < count:
        raise ValueError("it ends too early")
    return np.array(numbers, np.int64)


def _read_binary(data: bytes, offset: int, kind: int, shape: tuple[int, int, int], white: int) -> Array:
    height, width, channels = shape
    if kind == 4:
        row_bytes = -(-width // 8)
        packed: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8, height * row_bytes, offset)
        return np.unpackbits(packed.reshape(height, row_bytes), axis=1)[:, :width]
    return np.frombuffer(data, ">u2" if white > 255 else np.uint8, height * width * channels, offset)
