"""Image files as arrays, or an error that names the file."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lightseg.data.io.pixels import Pixels, decode, header_size, header_turn
from lightseg.data.types import Array
from lightseg.errors import ConfigError, DataError


class BrokenFileError(DataError):
    """Error for an image or a mask that no decoder can read."""


class ImageValues(NamedTuple):
    """Meaning of an image's values, where the depth of the file does not say it.

    Attributes:
        low: Value that becomes 0.
        high: Value that becomes 1; None: as the depth of the file says.
        nodata: Value that becomes 0, wherever it is; None: there is none.
    """

    low: float = 0.0
    high: float | None = None
    nodata: float | None = None

    @classmethod
    def of(cls, value_range: Sequence[float] | None, nodata: float | None) -> ImageValues:
        """Take the options of a data module, or what a checkpoint has kept of them.

        Raises:
            ConfigError: If the range is none.
        """
        low, high = value_range or (0.0, None)
        if high is not None and not (np.isfinite([low, high]).all() and low < high):
            raise ConfigError(f"data.value_range: [{low}, {high}] is no range; give the least and the greatest value")
        return cls(low, high, nodata)

    def apply(self, array: Array) -> Array:
        """Scale stored values to 0..1, float32; without a range, only blot out what means nothing."""
        hole = np.isnan(array) if self.nodata is not None and np.isnan(self.nodata) else array == self.nodata
        if self.high is None:
            return np.where(hole, array.dtype.type(0), array)
        scaled = (array.astype(np.float64) - self.low) / (self.high - self.low)
        # what is not a number stays so, and is refused
        return np.where(hole, 0, scaled.clip(0, 1)).astype(np.float32)


AS_STORED = ImageValues()
"""The depth of the file says what is black and what is white."""


def image_values(recipe: Mapping[str, Any]) -> ImageValues:
    """Return the meaning of values that a checkpoint's recipe has kept."""
    return ImageValues(*recipe["image_values"]) if "image_values" in recipe else AS_STORED


def read_image(path: Path | str, channels: int = 3, page: int | None = None, values: ImageValues = AS_STORED) -> Array:
    """Read one image as `(H, W, channels)`: uint8, or float32 for deeper files.

    With 3 channels, grey is repeated, alpha dropped, a palette looked up and CMYK converted; with 1, colour becomes
    grey; with 4, an RGBA file keeps its alpha; any other number needs a TIFF or `.npy` file with just that many,
    channel-first or channel-last. Values of more than 8 bits are divided by the greatest that their depth allows,
    floating-point values must lie in 0..1. An image is turned the way its EXIF orientation shows it, which is how
    annotation tools display it; of an animation, the first picture is read.

    Args:
        path: The file.
        channels: Number of channels wanted.
        page: Which page of a TIFF, from 0 on; left out, all of it is one image.
        values: The meaning of the values, where the depth of the file does not say it.

    Raises:
        DataError: If the file is missing, broken or truncated, or has another number of channels.
    """
    with naming_the_file(path, "image"):
        return as_image(path, decode(Path(path), channels, page), channels, values)


def image_size(path: Path | str, channels: int = 3) -> tuple[int, int]:
    """Height and width that `read_image` gives, from the header only.

    Raises:
        DataError: If the header cannot be read.
    """
    with naming_the_file(path, "image"):
        return header_size(Path(path), channels)


def exif_turn(path: Path | str) -> int:
    """EXIF's number of the way up of an image or a mask: 1 where it stands as it is stored.

    Raises:
        DataError: If the header cannot be read.
    """
    with naming_the_file(path, "image"):
        return header_turn(Path(path))


@contextmanager
def naming_the_file(path: Path | str, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `DataError` that names the file."""
    try:
        yield
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise BrokenFileError(f"{path}: this {kind} does not exist") from None
    except Exception as error:
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
            # of the machine: the file is as it should be
            raise
        # decoders raise OSError, SyntaxError, struct.error, zlib.error, their own types, …
        if Path(path).is_file() and not Path(path).stat().st_size:
            raise BrokenFileError(f"{path}: this {kind} is an empty file (0 bytes)") from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"{path}: this {kind} cannot be read, the file is broken or truncated ({reason})"
        raise BrokenFileError(message) from error


def as_image(path: Path | str, pixels: Pixels, channels: int, values: ImageValues = AS_STORED) -> Array:
    """Give the pixels of a file, or some of its rows, as `read_image` does.

    Raises:
        DataError: If they cannot be that; the message names the path.
    """
    if pixels.palette is not None:
        pixels = in_colors(pixels)
    array, white = pixels.array, pixels.white
    if pixels.has_alpha and array.shape[2] != channels:
        array = array[..., :-1]
    if values != AS_STORED:
        if values.high is not None and 0 < 2 * white < values.high:
            raise DataError(
                f"{path}: holds at most {white}, and data.value_range ends at {values.high:g}, so that it would be "
                "nearly black; give files of one depth"
            )
        array, white = values.apply(array), white if values.high is None else 0
    return np.ascontiguousarray(_to_unit(path, _to_channels(path, array, channels, pixels.bands), white))


def in_colors(pixels: Pixels) -> Pixels:
    """Look the indices of a palette up."""
    assert pixels.palette is not None, "only a palette has indices"
    colors = pixels.palette[pixels.array[..., 0]]
    return pixels._replace(array=colors, white=255, has_alpha=colors.shape[2] == 4, palette=None)


def to_bytes(array: Array, white: int) -> Array:
    """Scale values of fewer than 8 bits to 0..255."""
    scale = np.round(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    return scale[array]


def _to_channels(path: Path | str, array: Array, channels: int, are_bands: bool) -> Array:
    have = array.shape[2]
    if have == channels:
        return array
    if have == 1 and channels == 3:
        return np.repeat(array, 3, axis=2)
    if have == 3 and channels == 1 and not are_bands and array.dtype in (np.uint8, np.uint16, np.float32):
        return cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)[..., None]
    advice = ", or save each page as a file of its own" if are_bands and have > 1 else ""
    raise DataError(f"{path}: has {have} channels, but data.channels is {channels}; set data.channels: {have}{advice}")


def _to_unit(path: Path | str, array: Array, white: int) -> Array:
    """8 bits and less as uint8, everything else as float32."""
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
        # augmentation would clip what lies outside, and evaluation would not
        raise DataError(
            f"{path}: holds values from {low:g} to {high:g}; scale floating-point images to 0..1, or say which become "
            f"black and white, such as value_range: [{low:g}, {high:g}]"
        )
    return array.astype(np.float32)


def visible(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Any image as 8-bit RGB: the first three channels, a single one repeated."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image[..., :3]
