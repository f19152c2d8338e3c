"""Image files as arrays, or an error that names the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageFile, ImageOps

from lightseg.data.transforms import Array
from lightseg.errors import DataError

_TIFF, _NUMPY = frozenset({".tif", ".tiff"}), ".npy"
_JPEG = frozenset({"JPEG", "MPO"})
_EXIF_ORIENTATION = 0x0112

# Pillow's limit guards servers against hostile uploads; a user's own aerial images may be larger
Image.MAX_IMAGE_PIXELS = None


class BrokenFileError(DataError):
    """An image or a mask that no decoder can read."""


def read_image(path: Path | str, channels: int = 3, page: int | None = None) -> Array:
    """Read one image as `(H, W, channels)`: uint8, or float32 for deeper files.

    With 3 channels, grey is repeated, alpha dropped and a palette looked up; with 1, colour becomes grey; with 4, an
    RGBA file keeps its alpha; any other number needs a TIFF or `.npy` file with just that many, channel-first or
    channel-last. 16-bit values are divided by 65535, floating-point values must lie in 0..1. A JPEG is turned the way
    its EXIF orientation shows it, which is how annotation tools display it.

    Args:
        path: The file.
        channels: Number of channels wanted.
        page: Which page of a TIFF, from 0 on; left out, all of it is one image.

    Raises:
        DataError: If the file is missing, broken or truncated, or has another number of channels.
    """
    with naming_the_file(path, "image"):
        array = by_suffix(
            path,
            lambda p: _pillow_file(p, channels),
            lambda p: _tiff_image(p, channels, page),
            lambda p: channels_last(p, load_array(p), "", channels),
        )
        return as_image(path, array, channels)


def image_size(path: Path | str, channels: int = 3) -> tuple[int, int]:
    """Height and width that `read_image` gives, from the header only.

    Raises:
        DataError: If the header cannot be read.
    """
    with naming_the_file(path, "image"):
        height, width = by_suffix(
            path,
            _pillow_size,
            lambda p: _plane(*_tiff_layout(p), channels),
            lambda p: _plane(np.load(p, mmap_mode="r", allow_pickle=False).shape, "", channels),
        )
        return height, width


@contextmanager
def naming_the_file(path: Path | str, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `DataError` that names the file."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise BrokenFileError(f"{path}: this {kind} does not exist") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, their own types, …
        if Path(path).is_file() and not Path(path).stat().st_size:
            raise BrokenFileError(f"{path}: this {kind} is an empty file (0 bytes)") from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"{path}: this {kind} cannot be read, the file is broken or truncated ({reason})"
        raise BrokenFileError(message) from error


def by_suffix(
    path: Path | str, pillow: Callable[[Path], Any], tiff: Callable[[Path], Any], numpy: Callable[[Path], Any]
) -> Any:
    """What the right one of three decoders makes of a file."""
    path = Path(path)
    suffix = path.suffix.lower()
    return numpy(path) if suffix == _NUMPY else tiff(path) if suffix in _TIFF else pillow(path)


def load_array(path: Path) -> Array:
    """The array of a `.npy` file."""
    return np.asarray(np.load(path, allow_pickle=False))


def as_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB without alpha."""
    # a palette may hold transparency, which only RGBA can take
    return (image.convert("RGBA") if image.mode in ("P", "PA") else image).convert("RGB")


def look_up(colormap: Array, indices: Array) -> Array:
    """Colours `(H, W, 3)` uint8 of palette indices; a TIFF palette is `(3, N)` uint16."""
    return np.moveaxis(colormap[:, indices.reshape(indices.shape[:2])] >> 8, 0, -1).astype(np.uint8)


def as_image(path: Path | str, array: Array, channels: int) -> Array:
    """What a decoder gave, `(H, W)` or `(H, W, C)` of any type, as `read_image` gives it.

    Raises:
        DataError: If it cannot be that; the message names the path.
    """
    return np.ascontiguousarray(_to_unit(path, _to_channels(path, array, channels)))


def pillow_image(image: Image.Image, channels: int) -> Array:
    """The pixels of an image of at most 8 bits per colour, upright, in the type and the channels that it has."""
    upright = ImageOps.exif_transpose(image) if orientation(image) > 1 else image
    if upright.mode in ("L", "I;16", "RGB", "RGBA" if channels == 4 else "RGB"):
        return np.array(upright)
    if upright.mode == "I":
        return np.array(upright).astype(np.uint16)
    if upright.mode in ("1", "LA"):
        return np.array(upright.convert("L"))
    return np.array(as_rgb(upright))


def _pillow_file(path: Path, channels: int) -> Array:
    with Image.open(path) as image:
        return _deep_color(path) if _is_deep_color(image) else pillow_image(image, channels)


def _deep_color(path: Path) -> Array:
    # Pillow keeps only the high byte of 16-bit colour
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None:
        raise OSError("OpenCV cannot decode it")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _pillow_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        width, height = image.size
        return (width, height) if orientation(image) > 4 else (height, width)


def orientation(image: Image.Image) -> int:
    """How a JPEG is to be shown, by the numbers of EXIF: 1 as it is stored, above 4 with a quarter of a turn."""
    return int(image.getexif().get(_EXIF_ORIENTATION, 1)) if image.format in _JPEG else 1


def _is_deep_color(image: Image.Image) -> bool:
    return image.format == "PNG" and image.mode in ("RGB", "RGBA") and "16" in raw_mode(image)


def raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, in Pillow's words, such as `I;16B` or `L;4`."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return str(tiles[0].args) if tiles else ""


def _tiff_image(path: Path, channels: int, number: int | None) -> Array:
    with tifffile.TiffFile(path) as file:
        page = file.pages[number or 0].aspage()
        image = file.series[0] if number is None else page
        return tiff_colors(page, channels_last(path, image.asarray(), image.axes, channels), channels)


def tiff_colors(page: tifffile.TiffPage, array: Array, channels: int) -> Array:
    """The stored values `(H, W, C)` of a TIFF page, or some rows of them, as what they stand for."""
    if page.colormap is not None:
        array = look_up(page.colormap, array)
    if page.bitspersample == 1:
        array = array.astype(np.bool_)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        array = ~array
    # bands beyond colour are data, unless the file itself calls the last one alpha
    has_alpha = bool(page.extrasamples) and page.extrasamples[-1] in (1, 2) and array.shape[2] != channels
    return array[..., :-1] if has_alpha else array


def _tiff_layout(path: Path) -> tuple[tuple[int, ...], str]:
    with tifffile.TiffFile(path) as file:
        return file.series[0].shape, file.series[0].axes


def channels_last(path: Path, array: Array, axes: str, channels: int) -> Array:
    """A view `(H, W, C)` of an array `(H, W)`, `(H, W, C)` or `(C, H, W)`; `axes` are those of tifffile, if known.

    Raises:
        DataError: If it has another shape.
    """
    if array.ndim == 2:
        return array[..., None]
    if array.ndim != 3:
        raise DataError(f"{path}: has the shape {array.shape}; an image is (H, W), (H, W, C) or (C, H, W)")
    return np.moveaxis(array, 0, -1) if _is_channel_first(array.shape, axes, channels) else array


def _plane(shape: tuple[int, ...], axes: str, channels: int) -> tuple[int, int]:
    first = len(shape) == 3 and _is_channel_first(shape, axes, channels)
    return (shape[1], shape[2]) if first else (shape[0], shape[1])


def _is_channel_first(shape: tuple[int, ...], axes: str, channels: int) -> bool:
    if "S" in axes:  # the file says which axis holds the samples of a pixel
        return axes.startswith("S")
    return shape[0] == channels or (shape[-1] != channels and shape[0] < shape[-1])


def _to_channels(path: Path | str, array: Array, channels: int) -> Array:
    array = array[..., None] if array.ndim == 2 else array
    have = array.shape[2]
    if have == channels:
        return array
    if have == 1 and channels == 3:
        return np.repeat(array, 3, axis=2)
    if have == 3 and channels == 1 and array.dtype in (np.uint8, np.uint16, np.float32):
        return cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)[..., None]
    raise DataError(f"{path}: has {have} channels, but data.channels is {channels}; set data.channels: {have}")


def _to_unit(path: Path | str, array: Array) -> Array:
    """uint8 as it is, everything else float32."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return array.astype(np.float32) / np.float32(65535)
    if array.dtype.kind != "f":
        raise DataError(f"{path}: holds {array.dtype} values; save it as uint8, uint16, or float32 in 0..1")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite values; replace them before training")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        # augmentation would clip what lies outside, and evaluation would not
        raise DataError(f"{path}: holds values from {low:g} to {high:g}; scale floating-point images to 0..1")
    return array.astype(np.float32)
