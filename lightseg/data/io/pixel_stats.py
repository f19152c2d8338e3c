"""Range, mean and standard deviation of a dataset's pixels, for images to which ImageNet's values do not apply."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightseg.data.io.image_values import ImageValues
from lightseg.data.io.images import convert, name_file_in_errors, select_channels
from lightseg.data.io.pixels import decode
from lightseg.data.io.stored_pixels import Pixels
from lightseg.data.types import Array
from lightseg.errors import DataError

_PERCENTILES = (0.5, 99.5)
"""Percentiles of the pixels that become 0 and 1.

Source: Isensee et al. 2021, "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation".
"""

_PIXELS = 2**14
"""Pixels of an image that `measure_values` takes, on a regular grid."""


class MeasuredValues(NamedTuple):
    """Range, mean and standard deviation of each channel, without missing values; the last two on the 0..1 scale."""

    ranges: list[list[float]]
    mean: list[float]
    std: list[float]


def measure_pixel_stats(images: Iterable[Array]) -> tuple[list[float], list[float]]:
    """Measure mean and standard deviation per channel on the 0..1 scale.

    Args:
        images: At least one image `(H, W, C)`, uint8, or float32 in 0..1.

    Returns:
        Mean `(C,)` and standard deviation `(C,)`; that of a constant channel is 1.
    """
    pixels, total, squares = 0, np.zeros(()), np.zeros(())
    for image in images:
        flat: npt.NDArray[np.float64] = image.reshape(-1, image.shape[2]).astype(np.float64)
        flat = flat / 255 if image.dtype == np.uint8 else flat
        pixels, total, squares = pixels + len(flat), total + flat.sum(0), squares + (flat**2).sum(0)
    return _mean_and_std(pixels, total, squares)


def measure_values(files: Sequence[Path], channels: int, values: ImageValues, measures_range: bool) -> MeasuredValues:
    """Measure images whose range is unknown, or that have missing values; broken files are left out.

    Args:
        files: At least one image file.
        channels: Channels of an image.
        values: Bands, range and nodata value of the images.
        measures_range: Measure the range, instead of using that of `values`.

    Raises:
        DataError: If no file can be read, a channel has no value, or the files are no images of one kind.
    """
    samples = list(_read_sampled(files, channels, values))
    if measures_range:
        stored = [_valid_values(pixels, channels, values) for _, pixels in samples]
        ranges = [_range_of([image[channel] for image in stored], channel + 1, files) for channel in range(channels)]
        values = values._replace(ranges=tuple(ranges))
    pixels, total, squares = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    for path, sampled in samples:
        image, is_missing = convert(path, sampled, channels, values)
        scaled = image.astype(np.float64) / (255 if image.dtype == np.uint8 else 1)
        is_valid = np.ones(image.shape, np.bool_) if is_missing is None else np.broadcast_to(~is_missing, image.shape)
        pixels, total = pixels + is_valid.sum((0, 1)), total + scaled.sum((0, 1), where=is_valid)
        squares = squares + (scaled**2).sum((0, 1), where=is_valid)
    if not pixels.all():
        raise _empty_channel_error(int(pixels.argmin()) + 1, files)
    return MeasuredValues([list(pair) for pair in values.ranges or ()], *_mean_and_std(pixels, total, squares))


def _read_sampled(files: Sequence[Path], channels: int, values: ImageValues) -> Iterator[tuple[Path, Pixels]]:
    """Yield the files that can be read, with the selected channels of their pixels on a grid."""
    error, is_empty = None, True
    for path in files:
        try:
            with name_file_in_errors(path, "image"):
                pixels = decode(path, values.stored_channels(channels))
                pixels = select_channels(path, pixels, channels, values)
        except DataError as broken:
            error = error or broken
            continue
        step = math.ceil(math.sqrt(pixels.array.shape[0] * pixels.array.shape[1] / _PIXELS))
        is_empty = False
        # a copy, which does not keep the image in memory
        yield path, pixels._replace(array=pixels.array[::step, ::step].copy())
    if is_empty and error is not None:
        raise error


def _valid_values(pixels: Pixels, channels: int, values: ImageValues) -> list[Array]:
    """Return the stored values of each channel that are not missing; those of all, if the image is converted."""
    array, is_missing = pixels.array, values.find_missing(pixels.array)
    is_valid = np.ones(array.shape, np.bool_) if is_missing is None else ~is_missing
    if array.dtype.kind == "f":
        is_valid &= np.isfinite(array)
    if array.shape[2] != channels:
        return [array[is_valid]] * channels
    return [array[..., channel][is_valid[..., channel]] for channel in range(channels)]


def _range_of(parts: Sequence[Array], channel: int, files: Sequence[Path]) -> tuple[float, float]:
    """Return the percentiles of the values of a channel.

    Raises:
        DataError: If there is no value.
    """
    valid = np.concatenate(parts)
    if not valid.size:
        raise _empty_channel_error(channel, files)
    low, high = map(float, np.percentile(valid, _PERCENTILES))
    # a constant channel must not be divided by 0
    return low, high if high > low else low + 1


def _empty_channel_error(channel: int, files: Sequence[Path]) -> DataError:
    return DataError(
        f"{files[0].parent}: all values of channel {channel} are missing in {len(files)} training images; check "
        "data.nodata, or leave the band out of data.bands"
    )


def _mean_and_std(
    pixels: int | npt.NDArray[np.float64], total: npt.NDArray[np.float64], squares: npt.NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel, from the number of pixels and the sums over them."""
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    # a constant channel must not be divided by 0
    return mean.tolist(), np.where(std > 1e-6, std, 1.0).tolist()
