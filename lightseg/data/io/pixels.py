"""Decoding of files to stored pixels: bit depth, photometric interpretation, alpha, palette and orientation."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from lightseg.data.io.netpbm import read_netpbm
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.files.atomic import require_regular

if TYPE_CHECKING:
    import tifffile

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

_LOSSY_TIFF = frozenset({6, 7, 22610, 33003, 33004, 33005, 33007, 34712, 34887, 34892, 34934, 50001, 50002})
"""Compressions of a TIFF that may change its values: JPEG and its successors, WebP, LERC."""

_EXPANSIONS = {1: 4, 5: 1500, 8: 1100, 32773: 128, 32946: 1100}
"""Upper bound of the bytes that one byte of a TIFF decodes to: uncompressed, LZW, deflate, PackBits."""

_DEFLATE, _ANY_EXPANSION = 1100, 2**16
"""Bound for a PNG, above deflate's limit of 1032, and for all other compressions."""

_EMPTY_SEGMENT = 2**24
"""Upper bound of the bytes of a strip or tile that a sparse TIFF omits."""

_JPEG_IN_TIFF = frozenset({6, 7, 33007})
_REDUCED_OR_MASK = 0b101
_ALPHA = (1, 2)
_GRAY = (0, 1, 4)
"""Photometric interpretations of a TIFF with gray samples: white at 0, black at 0, transparency mask."""

_NUMPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Readers of the header of a `.npy` file by its version; version 3 has names of fields beyond Latin-1."""

_MAGIC = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF", b"\x93NUM": "NumPy"}


class Pixels(NamedTuple):
    """Stored values of an image or of some of its rows, upright.

    Attributes:
        array: `(H, W, C)` of any type; gray runs from black to white, and color is RGB.
        white: Value of white in unsigned files, such as 1, 15, 255 or 4095; 0 where none is defined.
        has_alpha: Whether the last channel is the alpha.
        palette: Colors `(N, 3)` or `(N, 4)` uint8, if `array` holds palette indices.
        lossy: Name of a lossy compression; empty if the values are exact.
        is_cmyk: Whether the colors were converted from CMYK.
        has_bands: Whether the channels are separate gray bands, such as the pages of a stack, not colors.
        is_negative: Whether true is black, as tifffile writes booleans, although it reads them as they were.
    """

    array: Array
    white: int
    has_alpha: bool = False
    palette: Array | None = None
    lossy: str = ""
    is_cmyk: bool = False
    has_bands: bool = False
    is_negative: bool = False


def decode(path: Path, channels: int | None = None, page: int | None = None) -> Pixels:
    """Decode a file to its stored pixels.

    Args:
        path: The file; its content, not its name, selects the decoder.
        channels: Expected number of channels, which tells channel-first from channel-last; 0: unknown, so that the
            shorter axis is that of the channels; None: a mask.
        page: Page of a TIFF, from 0 on; None: the file is one image.

    Raises:
        DataError: If the format does not define the values reliably.
        Exception: Any exception of a decoder for a broken file.
    """
    kind = file_kind(path)
    if kind == "TIFF":
        return _decode_tiff(path, channels, page)
    if kind == "NumPy":
        read_numpy_shape(path)
        return from_array(channels_last(path, np.load(path, allow_pickle=False), "", channels))
    with Image.open(path, formats=FORMATS) as image:
        if image.format == "PPM":
            return Pixels(*read_netpbm(path.read_bytes()))
        if image.format == "BMP" and (indexed := _read_by_depth(path, image)):
            return from_pillow(indexed)
        require_png_data(path, image)
        pixels = _decode_deep(path, image) or from_pillow(image)
        return pixels._replace(array=turn(pixels.array, orientation(image)))


def file_kind(path: Path) -> str:
    """Return `TIFF`, `NumPy`, or an empty string for Pillow's formats, by the first bytes of a file.

    Raises:
        DataError: If it is no regular file; reading a pipe or device might never end.
    """
    require_regular(path, DataError)
    with path.open("rb") as file:
        return _MAGIC.get(file.read(4), "")


def header_size(path: Path, channels: int | None) -> tuple[int, int]:
    """Read height and width of `decode`'s result from the header only.

    Args:
        path: The file.
        channels: Expected number of channels, which tells channel-first from channel-last; None: a mask.

    Raises:
        DataError: If the file is no single image.
        Exception: Any exception of a decoder for a broken header.
    """
    kind = file_kind(path)
    if kind == "TIFF":
        import tifffile

        with tifffile.TiffFile(path) as file:
            series = only_series(path, file, channels)
            require_tiff_data(path, series)
            height, width = _height_and_width(series.shape, series.axes, channels)
            return (width, height) if tiff_orientation(series.keyframe) > 4 else (height, width)
    if kind == "NumPy":
        return _height_and_width(read_numpy_shape(path), "", channels)
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        require_png_data(path, image)
        return (width, height) if orientation(image) > 4 else (height, width)


def header_orientation(path: Path) -> int:
    """Read the EXIF orientation, 1..8, from the header only."""
    kind = file_kind(path)
    if kind == "TIFF":
        import tifffile

        with tifffile.TiffFile(path) as file:
            return tiff_orientation(file.pages.first)
    if kind == "NumPy":
        return 1
    with Image.open(path, formats=FORMATS) as image:
        return orientation(image)


def read_numpy_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of a `.npy` file from its header, after a check that it holds numbers and all of them.

    Raises:
        DataError: If it holds anything but real numbers.
        ValueError: If it is too small for its shape.
    """
    with path.open("rb") as file:
        read = _NUMPY_HEADERS.get(np.lib.format.read_magic(file))
        shape, _, dtype = read(file) if read else ((), False, np.dtype("V1"))
        length = path.stat().st_size - file.tell()
    if dtype.kind not in "buif":
        names = {"c": "complex numbers", "M": "dates", "m": "durations", "U": "text", "S": "text", "O": "objects"}
        content = names.get(dtype.kind, "records of several fields")
        raise DataError(f"{path}: holds {content}; save it as whole or floating-point numbers")
    _require_planes(path, shape)
    if math.prod(shape) * dtype.itemsize > length:
        raise ValueError(f"its header says {'×'.join(map(str, shape))} values, more than its {length:,} bytes can hold")
    return shape


def from_array(array: Array) -> Pixels:
    """Wrap a user's array `(H, W, C)`: the greatest value of an 8- or 16-bit unsigned type is white."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        return Pixels(array.view(np.uint8), 1)
    return Pixels(array, int(np.iinfo(array.dtype).max) if array.dtype in (np.uint8, np.uint16) else 0)


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
        return Pixels(_cmyk_to_rgb(np.array(image), 255), 255, lossy=lossy, is_cmyk=True)
    if mode == "LAB":
        raise DataError("it stores its colors as LAB; convert it to RGB")
    has_alpha = mode in ("LA", "RGBA", "PA", "La", "RGBa")
    target_mode = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(mode, mode if mode in ("LA", "RGBA") else "RGB")
    return Pixels(np.array(image if mode == target_mode else image.convert(target_mode)), 255, has_alpha, lossy=lossy)


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
    has_alpha = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
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
        rgb = _cmyk_to_rgb(array[..., :4], white)
        return Pixels(np.concatenate([rgb, array[..., 4:]], axis=2), white, has_alpha, lossy=lossy, is_cmyk=True)
    elif photometric not in (1, 2, 4, 34892) and not (photometric == 6 and is_jpeg):
        colors = getattr(page.photometric, "name", str(photometric))
        raise DataError(f"{name}: stores its colors as {colors} {array.dtype}; convert it to RGB or to gray")
    return Pixels(array, white, has_alpha, lossy=lossy, has_bands=photometric in _GRAY)


def channels_last(path: Path, array: Array, axes: str, channels: int | None) -> Array:
    """Return a view `(H, W, C)` of an array.

    Args:
        path: The file, for messages.
        array: `(H, W)`, `(H, W, C)` or `(C, H, W)`.
        axes: Axes of the array in tifffile's notation, or empty.
        channels: Expected number of channels; None: a mask.

    Raises:
        DataError: If the array has another shape.
    """
    _require_planes(path, array.shape)
    if array.ndim == 2:
        return array[..., None]
    return np.moveaxis(array, 0, -1) if is_channel_first(array.shape, axes, channels) else array


def _require_planes(path: Path, shape: tuple[int, ...]) -> None:
    """Check the number of axes of an image.

    Raises:
        DataError: If there are fewer than two, or more than three.
    """
    if len(shape) not in (2, 3):
        raise DataError(f"{path}: has the shape {shape}; an image is (H, W), (H, W, C) or (C, H, W)")


def turn(array: Array, orientation: int) -> Array:
    """Return a view of an image `(H, W, C)` with an EXIF orientation, 1..8, applied."""
    turns: dict[int, Callable[[Array], Array]] = {
        2: lambda stored: stored[:, ::-1],
        3: lambda stored: stored[::-1, ::-1],
        4: lambda stored: stored[::-1],
        5: lambda stored: stored.swapaxes(0, 1),
        6: lambda stored: stored[::-1].swapaxes(0, 1),
        7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
        8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
    }
    return turns[orientation](array) if orientation in turns else array


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8: 1 as stored; above 4, height and width are swapped."""
    # `getexif` would decode a whole PNG
    if image.format in ("PNG", None) and "exif" not in image.info:
        return 1
    number = image.getexif().get(_EXIF_ORIENTATION, 1)
    return number if number in range(1, 9) else 1


def tiff_orientation(page: Any) -> int:
    """Return the orientation of a TIFF page, 1..8, as EXIF defines it."""
    number = _tag(page, 274, 1)
    return number if number in range(1, 9) else 1


def require_png_data(path: Path, image: Image.Image) -> None:
    """Check that a PNG is large enough for its height and width, before memory is allocated.

    Raises:
        ValueError: If it is too small.
    """
    if image.format == "PNG":
        bits = _FEW_BITS.get(raw_mode(image), 8 * len(image.getbands()))
        _require_data(path, image.width * image.height * bits / 8, path.stat().st_size * _DEFLATE, image.size)


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
    _require_data(path, math.prod(image.shape) * page.bitspersample / 8, capacity, (page.imagewidth, page.imagelength))


def _require_data(path: Path, num_bytes: float, capacity: float, size: tuple[int, int]) -> None:
    if num_bytes > capacity:
        raise ValueError(
            f"its header says {size[0]}×{size[1]} pixels, more than its {path.stat().st_size:,} bytes can hold"
        )


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


def _cmyk_to_rgb(inks: Array, white: int) -> Array:
    """Convert cyan, magenta, yellow and black `(H, W, 4)` to RGB `(H, W, 3)` as Pillow does."""
    # uint32, since products of uint16 would overflow
    wide = inks.astype(np.uint32)
    brightness = white - wide[..., 3:]
    return (brightness - (wide[..., :3] * brightness + white // 2) // white).astype(inks.dtype)


def _decode_tiff(path: Path, channels: int | None, page_index: int | None) -> Pixels:
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


def _tag(page: Any, code: int, default: int) -> int:
    value = page.tags.valueof(code, default)
    return int(value) if isinstance(value, int) else default


def _height_and_width(shape: tuple[int, ...], axes: str, channels: int | None) -> tuple[int, int]:
    has_first = len(shape) == 3 and is_channel_first(shape, axes, channels)
    return (shape[1], shape[2]) if has_first else (shape[0], shape[1])


def is_channel_first(shape: tuple[int, ...], axes: str, channels: int | None) -> bool:
    """Return whether the first axis of three is that of the channels.

    Args:
        shape: The shape.
        axes: The axes in tifffile's notation, or empty.
        channels: Expected number of channels; 0: unknown; None: a mask.
    """
    if "S" in axes:  # tifffile's letter of the channel axis
        return axes.startswith("S")
    if channels is None:
        return False
    return shape[0] == channels or (shape[-1] != channels and shape[0] < shape[-1])
