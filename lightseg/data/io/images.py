"""Decoding of image files to arrays, with errors that name the file."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.io.image_values import AS_STORED, ImageValues, Missing
from lightseg.data.io.pixels import decode, header_has_alpha, header_orientation, header_size
from lightseg.data.io.stored_pixels import Pixels
from lightseg.data.types import Array
from lightseg.errors import DataError
from lightseg.files.printable import format_count


class BrokenFileError(DataError):
    """Image or mask that no decoder can read."""


def read_image(path: Path | str, channels: int = 3, page: int | None = None, values: ImageValues = AS_STORED) -> Array:
    """Read one image as `(H, W, channels)`: uint8, or float32 for deeper files.

    With 3 channels, gray is repeated, alpha dropped, a palette looked up and CMYK converted; with 1, color becomes
    gray; with 4, an RGBA file keeps its alpha; any other number needs a TIFF or `.npy` file with exactly that many,
    channel-first or channel-last. Values of more than 8 bits are divided by the greatest value of their depth;
    floating-point values must lie in 0..1. The EXIF orientation is applied, as annotation tools do; of an animation,
    the first frame is read.

    Args:
        path: The file.
        channels: Number of channels of the result.
        page: Page of a TIFF, from 0 on; None: the file is one image.
        values: Bands, range and nodata value, where the file does not define them.

    Returns:
        The image, `(H, W, channels)`, uint8 in 0..255 or float32 in 0..1.

    Raises:
        DataError: If the file is missing, broken or truncated, or has another number of channels.
    """
    return read_image_and_missing(path, channels, page, values)[0]


def read_image_and_missing(
    path: Path | str, channels: int = 3, page: int | None = None, values: ImageValues = AS_STORED
) -> tuple[Array, Missing | None]:
    """Read one image as `read_image` does, and the pixels `(H, W)` that are missing in all of its channels.

    Returns:
        The image, and the missing pixels; None if there is nothing to replace them by.

    Raises:
        DataError: If the file is missing, broken or truncated, or has another number of channels.
    """
    with name_file_in_errors(path, "image"):
        return to_image(path, decode(Path(path), values.stored_channels(channels), page), channels, values)


def image_size(path: Path | str, channels: int = 3) -> tuple[int, int]:
    """Read height and width of `read_image`'s result from the header only.

    Raises:
        DataError: If the header cannot be read.
    """
    with name_file_in_errors(path, "image"):
        return header_size(Path(path), channels)


def exif_orientation(path: Path | str) -> int:
    """Read the EXIF orientation of an image or a mask, 1..8; 1: as it is stored.

    Raises:
        DataError: If the header cannot be read.
    """
    with name_file_in_errors(path, "image"):
        return header_orientation(Path(path))


def transparent_share(path: Path | str, channels: int = 3, values: ImageValues = AS_STORED) -> float | None:
    """Return the share of an image's pixels that an alpha makes transparent which `read_image` drops; None without one.

    Args:
        path: The file.
        channels: Number of channels of the image.
        values: Bands of the image; with a selection, no alpha is dropped unasked.

    Raises:
        DataError: If the file is missing or broken.
    """
    with name_file_in_errors(path, "image"):
        if values.bands is not None or not header_has_alpha(Path(path)):
            return None
        pixels = decode(Path(path), values.stored_channels(channels))
    pixels = pixels if pixels.palette is None else apply_palette(pixels)
    alpha = pixels.array[..., -1]
    if not pixels.has_alpha or pixels.array.shape[2] == channels:
        return None
    return float((alpha < (pixels.white or alpha.max())).mean())


@contextmanager
def name_file_in_errors(path: Path | str, kind: str) -> Iterator[None]:
    """Translate any exception of a decoder to a `DataError` that names the file.

    Args:
        path: The file.
        kind: Noun for the file in messages: `image` or `mask`.

    Raises:
        DataError: If a decoder fails; a `BrokenFileError` if the file is missing, empty or cannot be decoded.
    """
    try:
        yield
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise BrokenFileError(f"{path}: this {kind} does not exist") from None
    except MemoryError:
        raise DataError(
            f"{path}: this {kind} does not fit the memory; make it smaller, or raise the limit (`ulimit -v`)"
        ) from None
    except Exception as error:
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
            # too many open files: the machine's limit, not the file, is at fault
            raise
        # decoders raise OSError, SyntaxError, struct.error, zlib.error, their own types, …
        if Path(path).is_file() and not Path(path).stat().st_size:
            raise BrokenFileError(f"{path}: this {kind} is an empty file (0 bytes)") from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"{path}: this {kind} cannot be read, the file is broken or truncated ({reason})"
        raise BrokenFileError(message) from error


def to_image(
    path: Path | str, pixels: Pixels, channels: int, values: ImageValues = AS_STORED
) -> tuple[Array, Missing | None]:
    """Convert the pixels of a file, or some of its rows, to the format of `read_image_and_missing`.

    Args:
        path: The file, for messages.
        pixels: Its pixels.
        channels: Number of channels of the result.
        values: Bands, range and nodata value, where the file does not define them.

    Returns:
        The image `(H, W, channels)`, uint8 in 0..255 or float32 in 0..1, and its pixels `(H, W)` that are missing in
        all channels; None if there is nothing to replace them by.

    Raises:
        DataError: If the pixels cannot be converted; the message names the path.
    """
    pixels = select_channels(path, pixels, channels, values)
    image, is_missing = convert(path, pixels, channels, values)
    if is_missing is None or values.fill is None:
        return image, None
    fill = np.array(values.fill, np.float32)
    fill = np.round(255 * fill).astype(np.uint8) if image.dtype == np.uint8 else fill
    return np.where(is_missing, fill, image), np.asarray(is_missing.all(axis=2))


def missing_pixels(path: Path | str, pixels: Pixels, channels: int, values: ImageValues) -> Missing:
    """Return the missing pixels of `to_image` alone, `(H, W)`, for values with a nodata value."""
    is_missing = values.find_missing(select_channels(path, pixels, channels, values).array)
    assert is_missing is not None, "there is a nodata value"
    return np.asarray(is_missing.all(axis=2))


def select_channels(path: Path | str, pixels: Pixels, channels: int, values: ImageValues) -> Pixels:
    """Return the pixels of the selected bands; without a selection, without an alpha that is not needed.

    Raises:
        DataError: If the file has too few bands.
    """
    if pixels.palette is not None:
        pixels = apply_palette(pixels)
    if values.bands is not None:
        if (highest := max(values.bands)) > (count := pixels.array.shape[2]):
            raise DataError(
                f"{path}: has {format_count(count, 'channel')}, but data.bands names band {highest}; "
                "bands are counted from 1"
            )
        return pixels._replace(array=pixels.array[..., np.array(values.bands) - 1])
    is_opaque = not pixels.has_alpha or pixels.array.shape[2] == channels
    return pixels if is_opaque else pixels._replace(array=pixels.array[..., :-1])


def convert(path: Path | str, pixels: Pixels, channels: int, values: ImageValues) -> tuple[Array, Missing | None]:
    """Convert pixels of the selected channels to an image, in which missing values are 0.

    Returns:
        The image `(H, W, channels)`, and its missing values `(H, W, channels)` or `(H, W, 1)`, or None.

    Raises:
        DataError: If the pixels cannot be converted; the message names the path.
    """
    array, white, is_missing = pixels.array, pixels.white, values.find_missing(pixels.array)
    if values.ranges is not None:
        high = max(high for _, high in values.ranges)
        if 0 < 2 * white < high:
            raise DataError(
                f"{path}: holds at most {white}, and data.value_range ends at {high:g}, so that it would be "
                "nearly black; give files of one bit depth"
            )
        if len(values.ranges) > 1 and array.shape[2] not in (1, channels):
            raise _channels_error(path, array.shape[2], channels, pixels.has_bands)
        array, white = values.scale(array), 0
    if is_missing is not None:
        array = np.where(is_missing, array.dtype.type(0), array)
        if array.shape[2] != channels:
            # gray is repeated, and color becomes gray
            is_missing = np.asarray(is_missing.all(axis=2))[..., None]
    image = _to_unit(path, _to_channels(path, array, channels, pixels.has_bands), white)
    return np.ascontiguousarray(image), is_missing


def apply_palette(pixels: Pixels) -> Pixels:
    """Replace palette indices by their colors, `(H, W, 3)` or `(H, W, 4)` uint8."""
    assert pixels.palette is not None, "pixels without a palette are no indices"
    colors = pixels.palette[pixels.array[..., 0]]
    return pixels._replace(array=colors, white=255, has_alpha=colors.shape[2] == 4, palette=None)


def to_bytes(array: Array, white: int) -> Array:
    """Scale values of fewer than 8 bits to 0..255, uint8 of the same shape."""
    scale = np.round(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return scale[array]


def _to_channels(path: Path | str, array: Array, channels: int, has_bands: bool) -> Array:
    num_channels = array.shape[2]
    if num_channels == channels:
        return array
    if num_channels == 1 and channels == 3:
        return np.repeat(array, 3, axis=2)
    if num_channels == 3 and channels == 1 and not has_bands and array.dtype in (np.uint8, np.uint16, np.float32):
        return cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)[..., None]
    raise _channels_error(path, num_channels, channels, has_bands)


def _channels_error(path: Path | str, num_channels: int, channels: int, has_bands: bool) -> DataError:
    alternatives = f", or data.bands: {list(range(1, channels + 1))} to read some" if num_channels > channels else ""
    alternatives += ", or save each page as a file of its own" if has_bands and num_channels > 1 else ""
    return DataError(
        f"{path}: has {num_channels} channels, but data.channels is {channels}; "
        f"set data.channels: {num_channels}{alternatives}"
    )


def _to_unit(path: Path | str, array: Array, white: int) -> Array:
    """Return values of at most 8 bits as uint8, all others as float32 in 0..1."""
    if array.dtype == np.uint8 and white:
        return array if white == 255 else to_bytes(array, white)
    if white:
        return array.astype(np.float32) / np.float32(white)
    if array.dtype.kind != "f":
        raise DataError(
            f"{path}: holds {array.dtype} values; say which become black and white, such as value_range: [0, 3000], "
            "or value_range: auto"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite values; replace them, or say nodata: .nan")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        # augmentation would clip values outside 0..1, and evaluation would not
        raise DataError(
            f"{path}: holds values from {low:g} to {high:g}; scale floating-point images to 0..1, or say which become "
            f"black and white, such as value_range: [{low:g}, {high:g}] or value_range: auto"
        )
    return array.astype(np.float32)


def visible(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Convert any image `(H, W, C)` to 8-bit RGB `(H, W, 3)`: its first three channels, or the first one repeated."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image[..., :3]
