"""Decoding of image files to arrays, with errors that name the file."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.io.pixels import Pixels, decode, header_orientation, header_size
from lightseg.data.types import Array
from lightseg.errors import ConfigError, DataError


class BrokenFileError(DataError):
    """Image or mask that no decoder can read."""


class ImageValues(NamedTuple):
    """Range and nodata value of an image's values, where the bit depth of the file does not define them.

    Attributes:
        low: Value that becomes 0.
        high: Value that becomes 1; None: the greatest value of the file's bit depth.
        nodata: Value that marks missing pixels, which become 0; None: none is missing.
    """

    low: float = 0.0
    high: float | None = None
    nodata: float | None = None

    @classmethod
    def of(cls, value_range: Sequence[float] | None, nodata: float | None) -> ImageValues:
        """Build the values from the options of a data module, or from those in a checkpoint.

        Args:
            value_range: Values that become 0 and 1; None: those of the file's bit depth.
            nodata: Value that marks missing pixels.

        Raises:
            ConfigError: If the range is empty or not finite.
        """
        low, high = value_range or (0.0, None)
        if high is not None and not (np.isfinite([low, high]).all() and low < high):
            raise ConfigError(f"data.value_range: [{low}, {high}] is no range; give the least and the greatest value")
        return cls(low, high, nodata)

    def apply(self, array: Array) -> Array:
        """Scale stored values to float32 in 0..1 and set missing pixels to 0; without a range, do only the latter."""
        is_missing = np.isnan(array) if self.nodata is not None and np.isnan(self.nodata) else array == self.nodata
        if self.high is None:
            return np.where(is_missing, array.dtype.type(0), array)
        scaled = (array.astype(np.float64) - self.low) / (self.high - self.low)
        # NaN is kept here and refused later
        return np.where(is_missing, 0, scaled.clip(0, 1)).astype(np.float32)


AS_STORED = ImageValues()
"""Values whose black and white the bit depth of the file defines."""


def image_values(recipe: Mapping[str, Any]) -> ImageValues:
    """Return the `ImageValues` in a checkpoint's recipe."""
    return ImageValues(*recipe["image_values"]) if "image_values" in recipe else AS_STORED


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
        values: Range and nodata value, where the bit depth of the file does not define them.

    Returns:
        The image, `(H, W, channels)`, uint8 in 0..255 or float32 in 0..1.

    Raises:
        DataError: If the file is missing, broken or truncated, or has another number of channels.
    """
    with name_file_in_errors(path, "image"):
        return as_image(path, decode(Path(path), channels, page), channels, values)


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


def as_image(path: Path | str, pixels: Pixels, channels: int, values: ImageValues = AS_STORED) -> Array:
    """Convert the pixels of a file, or some of its rows, to the format of `read_image`.

    Args:
        path: The file, for messages.
        pixels: Its pixels.
        channels: Number of channels of the result.
        values: Range and nodata value, where the bit depth of the file does not define them.

    Returns:
        The image, `(H, W, channels)`, uint8 in 0..255 or float32 in 0..1.

    Raises:
        DataError: If the pixels cannot be converted; the message names the path.
    """
    if pixels.palette is not None:
        pixels = apply_palette(pixels)
    array, white = pixels.array, pixels.white
    if pixels.has_alpha and array.shape[2] != channels:
        array = array[..., :-1]
    if values != AS_STORED:
        if values.high is not None and 0 < 2 * white < values.high:
            raise DataError(
                f"{path}: holds at most {white}, and data.value_range ends at {values.high:g}, so that it would be "
                "nearly black; give files of one bit depth"
            )
        array, white = values.apply(array), white if values.high is None else 0
    return np.ascontiguousarray(_to_unit(path, _to_channels(path, array, channels, pixels.has_bands), white))


def apply_palette(pixels: Pixels) -> Pixels:
    """Replace palette indices by their colors, `(H, W, 3)` or `(H, W, 4)` uint8."""
    assert pixels.palette is not None, "pixels without a palette are no indices"
    colors = pixels.palette[pixels.array[..., 0]]
    return pixels._replace(array=colors, white=255, has_alpha=colors.shape[2] == 4, palette=None)


def to_bytes(array: Array, white: int) -> Array:
    """Scale values of fewer than 8 bits to 0..255."""
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
    alternative = ", or save each page as a file of its own" if has_bands and num_channels > 1 else ""
    raise DataError(
        f"{path}: has {num_channels} channels, but data.channels is {channels}; "
        f"set data.channels: {num_channels}{alternative}"
    )


def _to_unit(path: Path | str, array: Array, white: int) -> Array:
    """Return values of at most 8 bits as uint8, all others as float32 in 0..1."""
    if array.dtype == np.uint8 and white:
        return array if white == 255 else to_bytes(array, white)
    if white:
        return array.astype(np.float32) / np.float32(white)
    if array.dtype.kind != "f":
        raise DataError(
            f"{path}: holds {array.dtype} values; say which become black and white, such as value_range: [0, 3000]"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite values; replace them, or say nodata: .nan")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        # augmentation would clip values outside 0..1, and evaluation would not
        raise DataError(
            f"{path}: holds values from {low:g} to {high:g}; scale floating-point images to 0..1, or say which become "
            f"black and white, such as value_range: [{low:g}, {high:g}]"
        )
    return array.astype(np.float32)


def visible(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Convert any image `(H, W, C)` to 8-bit RGB `(H, W, 3)`: its first three channels, or the first one repeated."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image[..., :3]
