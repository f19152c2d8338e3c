"""PBM, PGM, PPM and PAM files as their stored values; other decoders stretch these to a depth of their own."""

import re

import numpy as np
import numpy.typing as npt

from lightseg.data.types import Array

_CHANNELS = {1: 1, 2: 1, 3: 3, 4: 1, 5: 1, 6: 3}
_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]+)")


def read_netpbm(data: bytes) -> tuple[Array, int]:
    """Read the first image of a file, `(H, W, C)`, and its value of white.

    Source: netpbm.sourceforge.net, "pbm", "pgm", "ppm".

    Raises:
        ValueError: If it is no such file, or ends too early.
    """
    if not re.match(rb"P[1-6]\s", data):
        raise ValueError("only PBM, PGM and PPM of integers are read")
    kind = int(data[1:2])
    at = 2
    numbers = []
    for _ in range(2 if kind in (1, 4) else 3):
        number, at = _number(data, at)
        numbers.append(number)
    width, height, white = (*numbers, 1)[:3]
    if not (width > 0 and height > 0 and 0 < white < 1 << 16):
        raise ValueError(f"its header gives {width}×{height} and the white {white}")
    shape = height, width, _CHANNELS[kind]
    values = _plain(data, at, kind, int(np.prod(shape))) if kind < 4 else _raw(data, at + 1, kind, shape, white)
    if values.max() > white:
        raise ValueError(f"it holds {values.max()}, but its white is {white}")
    # a bit of 1 is black
    values = 1 - values if kind in (1, 4) else values
    return values.reshape(shape).astype(np.uint8 if white < 256 else np.uint16), white


def _number(data: bytes, at: int) -> tuple[int, int]:
    token = _TOKEN.match(data, at)
    if token is None or not token[1].isdigit():
        raise ValueError("its header is broken")
    return int(token[1]), token.end()


def _plain(data: bytes, at: int, kind: int, count: int) -> Array:
    text = re.sub(rb"#[^\n\r]*", b"", data[at:])
    # bits need no space between them
    parts = re.findall(rb"[01]" if kind == 1 else rb"\d+", text)[:count]
    if len(parts) < count:
        raise ValueError("it ends too early")
    return np.array(parts, np.int64)


def _raw(data: bytes, at: int, kind: int, shape: tuple[int, int, int], white: int) -> Array:
    height, width, channels = shape
    if kind == 4:
        row_bytes = -(-width // 8)
        packed: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8, height * row_bytes, at)
        return np.unpackbits(packed.reshape(height, row_bytes), axis=1)[:, :width]
    return np.frombuffer(data, ">u2" if white > 255 else np.uint8, height * width * channels, at)
