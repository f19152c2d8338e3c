"""PNG, BMP and netpbm files written bit by bit, for depths and orders that libraries read but do not write."""

import struct
import zlib

import numpy as np

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def png(values, bits, color_type, interlaced=False, palette=None, transparency=None, chunks=()):
    """Return a PNG of stored values `(H, W, C)`."""
    height, width, samples = values.shape
    assert samples == _SAMPLES[color_type]
    passes = [values[y::dy, x::dx] for y, x, dy, dx in _ADAM7] if interlaced else [values]
    data = b"".join(b"\0" + row for part in passes if part.size for row in _packed(part, bits))
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, int(interlaced))
    content = [(b"IHDR", header), *chunks]
    if palette is not None:
        content.append((b"PLTE", np.asarray(palette, np.uint8).tobytes()))
    if transparency is not None:
        content.append((b"tRNS", transparency))
    content += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in content
    )


def bmp(values, bits, palette):
    """Return a BMP of palette indices `(H, W, 1)`, from the bottom up."""
    rows = [row + b"\0" * (-len(row) % 4) for row in _packed(values[::-1], bits)]
    colors = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    start, pixels = 54 + len(colors), b"".join(rows)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    info = struct.pack(
        "<IiiHHIIiiII", 40, values.shape[1], values.shape[0], 1, bits, 0, len(pixels), 0, 0, len(palette), 0
    )
    return head + info + colors + pixels


def netpbm(values, kind, white):
    """Return a PBM, PGM or PPM of stored values `(H, W, C)`, with a comment in its header."""
    height, width = values.shape[:2]
    head = f"P{kind}\n# comment 7\n{width} {height}\n".encode() + (b"" if kind in (1, 4) else f"{white}\n".encode())
    if kind < 4:
        return head + b"\n".join(b" ".join(b"%d" % value for value in row.ravel()) for row in values) + b"\n"
    if kind == 4:
        return head + b"".join(_packed(values, 1))
    return head + values.astype(">u2" if white > 255 else np.uint8).tobytes()


def _packed(values, bits):
    """Yield each row as bytes, the first value in the highest bits."""
    for row in values.reshape(len(values), -1):
        if bits == 16:
            yield row.astype(">u2").tobytes()
        else:
            places = (row[:, None].astype(np.uint8) >> np.arange(bits)[::-1]) & 1
            yield np.packbits(places).tobytes()
