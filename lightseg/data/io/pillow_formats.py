"""Decoding of the formats that Pillow opens: palettes, alpha, and bit depths that Pillow would reduce."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from lightseg.data.io.netpbm import read_netpbm
from lightseg.data.io.stored_pixels import Pixels, cmyk_to_rgb, require_data, turn
from lightseg.data.types import Array
from lightseg.errors import DataError

# Pillow's limit protects servers from hostile uploads; aerial images may exceed it
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "JPEG2000", "AVIF")
"""Formats that Pillow may open; others run external programs or hold no pixels."""

_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"})

_EXIF_ORIENTATION = 0x0112

_STRETCHED = {"L;2": 3, "L;4": 15}
"""White of 2- and 4-bit gray by raw mode; Pillow stretches their values to 0..255."""

_FEW_BITS = {"1": 1, "P;1": 1, "L;2": 2, "P;2": 2, "L;4": 4, "P;4": 4}
"""Bits per pixel of a PNG by raw mode, where they are fewer than 8."""

_DEFLATE = 1100
"""Upper bound of the bytes that one byte of a PNG decodes to, above deflate's limit of 1032."""


def decode_pillow(path: Path) -> Pixels:
    """Decode a file that Pillow opens.

    Raises:
        DataError: If the format does not define the values reliably.
        Exception: Any exception of a decoder for a broken file.
    """
    with Image.open(path, formats=FORMATS) as image:
        if image.format == "PPM":
            return Pixels(*read_netpbm(path.read_bytes()))
        if image.format == "BMP" and (indexed := _read_by_depth(path, image)):
            return from_pillow(indexed)
        require_png_data(path, image)
        pixels = _decode_deep(path, image) or from_pillow(image)
        return pixels._replace(array=turn(pixels.array, orientation(image)))


def from_pillow(image: Image.Image) -> Pixels:
    """Return the stored pixels of a Pillow image, which holds at most 8 bits per color.

    Raises:
        DataError: If its color space is not supported.
    """
    lossy = str(image.format) if image.format in _LOSSY else ""
    mode = image.mode
    if mode == "P":
        # writers of GIF files reorder the palette
        if image.format == "GIF":
            colors = _palette(image)[:, :3]
            return Pixels((colors[:, :1] if (colors == colors[:, :1]).all() else colors)[np.array(image)], 255)
        return Pixels(np.array(image)[..., None], 255, palette=_palette(image), lossy=lossy)
    if mode == "L":
        white = _STRETCHED.get(raw_mode(image), 255)
        array = np.array(image)[..., None]
        return Pixels(array if white == 255 else array // (255 // white), white, lossy=lossy)
    if mode == "1":
        # Pillow stores True as 255, not as 1
        return Pixels((np.array(image) != 0).astype(np.uint8)[..., None], 1, lossy=lossy)
    if mode.startswith("I;16"):
        return Pixels(np.array(image).astype(np.uint16, copy=False)[..., None], 65535, lossy=lossy)
    if mode in ("I", "F"):
        return Pixels(np.array(image)[..., None], 0, lossy=lossy)
    if mode == "CMYK":
        return Pixels(cmyk_to_rgb(np.array(image), 255), 255, lossy=lossy, is_cmyk=True)
    if mode == "LAB":
        raise DataError("it stores its colors as LAB; convert it to RGB")
    has_alpha = mode in ("LA", "RGBA", "PA", "La", "RGBa")
    target_mode = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(mode, mode if mode in ("LA", "RGBA") else "RGB")
    return Pixels(np.array(image if mode == target_mode else image.convert(target_mode)), 255, has_alpha, lossy=lossy)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8: 1 as stored; above 4, height and width are swapped."""
    # `getexif` would decode a whole PNG
    if image.format in ("PNG", None) and "exif" not in image.info:
        return 1
    number = image.getexif().get(_EXIF_ORIENTATION, 1)
    return number if number in range(1, 9) else 1


def require_png_data(path: Path, image: Image.Image) -> None:
    """Check that a PNG is large enough for its height and width, before memory is allocated.

    Raises:
        ValueError: If it is too small.
    """
    if image.format == "PNG":
        bits = _FEW_BITS.get(raw_mode(image), 8 * len(image.getbands()))
        require_data(path, image.width * image.height * bits / 8, path.stat().st_size * _DEFLATE, image.size)


def raw_mode(image: Image.Image) -> str:
    """Return Pillow's name of the pixel layout in the file, such as `I;16B` or `L;4`."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return str(tiles[0].args) if tiles else ""


def _read_by_depth(path: Path, image: Image.Image) -> Image.Image | None:
    """Read a BMP by its bits where Pillow takes a black-and-white palette for 1 bit, and a gray one for 8 bits."""
    assert isinstance(image, ImageFile.ImageFile)
    tile, data = image.tile[0], path.read_bytes()
    bits = int.from_bytes(data[28:30], "little")
    if image.mode not in ("1", "L") or bits == {"1": 1, "L": 8}[image.mode] or tile.codec_name != "raw":
        return None
    layout = ("P" if bits == 8 else f"P;{bits}", *tuple(tile.args or ())[1:])
    indexed = Image.frombytes("P", image.size, data[tile.offset :], "raw", *layout)
    grays = (0, 255) if image.mode == "1" else range(256)
    indexed.putpalette(bytes(channel for gray in grays for channel in (gray,) * 3))
    return indexed


def _decode_deep(path: Path, image: Image.Image) -> Pixels | None:
    """Decode a file whose bit depth Pillow would reduce; return None for any other."""
    has_alpha = image.mode in ("LA", "RGBA")
    if image.format == "PNG" and image.mode != "I;16" and "16" in raw_mode(image):
        import imagecodecs

        array = imagecodecs.png_decode(path.read_bytes())
        # the decoder may turn a single transparent color into an alpha channel, unlike Pillow
        return Pixels(array, 65535, array.shape[2] in (2, 4))
    if image.format == "JPEG2000" and (bits := _jpeg2000_bits(data := path.read_bytes())) != 8:
        import imagecodecs

        array = imagecodecs.jpeg2k_decode(data)
        return Pixels(array.reshape(*array.shape[:2], -1), (1 << bits) - 1, has_alpha, lossy="JPEG2000")
    if image.format == "AVIF" and (bits := _avif_bits(data := path.read_bytes())) != 8:
        import imagecodecs

        array = imagecodecs.avif_decode(data)
        return Pixels(array.reshape(*array.shape[:2], -1), (1 << bits) - 1, has_alpha, lossy="AVIF")
    return None


def _jpeg2000_bits(data: bytes) -> int:
    """Return the bits per channel from the header of the codestream.

    Source: ISO/IEC 15444-1, "SIZ".
    """
    start = data.find(b"\xff\x4f\xff\x51")
    count = int.from_bytes(data[start + 40 : start + 42], "big")
    depths = set(data[start + 42 : start + 42 + 3 * count : 3])
    if start < 0 or len(depths) != 1 or (depth := depths.pop()) >= 16:
        raise DataError("its channels are signed, differ in depth, or hold more than 16 bits; save it as PNG or TIFF")
    return depth + 1


def _avif_bits(data: bytes) -> int:
    """Return the bits per channel from the configuration of the codec.

    Source: AOMedia, "AV1 Codec ISO Media File Format Binding", av1C.
    """
    start = data.find(b"av1C")
    flags = data[start + 6] if start >= 0 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _palette(image: Image.Image) -> Array:
    """Return the palette `(256, 3)` uint8, or `(256, 4)` if some colors are transparent; unused entries are black."""
    flat, transparent = image.getpalette("RGBA") or [], image.info.get("transparency")
    colors = np.zeros((256, 4), np.uint8)
    colors[:, 3] = 255
    colors[: len(flat) // 4] = np.reshape(flat, (-1, 4))
    if isinstance(transparent, bytes):
        colors[: len(transparent), 3] = list(transparent)
    elif isinstance(transparent, int):
        colors[transparent, 3] = 0
    return colors if (colors[:, 3] < 255).any() else colors[:, :3]
