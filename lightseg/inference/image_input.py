"""Images as a user has them: files, PIL images, arrays, tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from lightseg.data.io.image_values import AS_STORED, ImageValues
from lightseg.data.io.images import to_image
from lightseg.data.io.pillow_formats import from_pillow, orientation
from lightseg.data.io.stored_pixels import Pixels, from_array, turn
from lightseg.errors import DataError
from lightseg.inference.readers import Source, source_from_array, source_from_file

_NAME = "the image"


def as_source(
    image: str | Path | Image.Image | npt.NDArray[Any] | Tensor, channels: int, values: ImageValues = AS_STORED
) -> Source:
    """Return an image of any form as a source with the channels of a net.

    As in a file, gray is repeated for three channels, and color becomes gray for one.

    Args:
        image: A file, a PIL image, an array `(H, W)` or `(H, W, C)`, or a tensor `(C, H, W)`.
        channels: Number of channels of the net.
        values: Bands of files, and range and nodata value of files and of integers, where they do not define them.

    Raises:
        DataError: If the image has another form, or other channels or values.
    """
    if isinstance(image, str | Path):
        return source_from_file(Path(image), channels, values=values)
    if isinstance(image, Image.Image):
        pixels = from_pillow(image)
        pixels = pixels._replace(array=turn(pixels.array, orientation(image)))
        return _source_from_pixels(pixels, channels, values)
    array = _to_array(image)
    count = array.shape[2]
    if count not in {channels, {1: 3, 3: 1}.get(channels)}:
        raise DataError(f"{_NAME} {array.shape} has {count} channels, but the net takes {channels}")
    # floats are on the 0..1 scale already, and bands are selected
    values = AS_STORED if array.dtype.kind == "f" else values._replace(bands=None)
    return _source_from_pixels(from_array(array), channels, values)


def _source_from_pixels(pixels: Pixels, channels: int, values: ImageValues) -> Source:
    array, is_missing = to_image(_NAME, pixels, channels, values)
    return source_from_array(array, _NAME, is_missing)


def _to_array(image: npt.NDArray[Any] | Tensor) -> npt.NDArray[Any]:
    """Return an array or a tensor as `(H, W, C)`."""
    if isinstance(image, Tensor):
        _require_shape(image.ndim == 3, "a tensor", tuple(image.shape), "(C, H, W)")
        # NumPy has no bfloat16
        image = image.float() if image.is_floating_point() else image
        array: npt.NDArray[Any] = image.detach().cpu().numpy().transpose(1, 2, 0)
        return array
    if isinstance(image, np.ndarray):
        _require_shape(image.ndim in (2, 3), "an array", image.shape, "(H, W) or (H, W, C)")
        return image if image.ndim == 3 else image[..., None]
    raise DataError(f"an image is a path, a PIL image, an array or a tensor, not a {type(image).__name__}")


def _require_shape(is_valid: bool, kind: str, shape: tuple[int, ...], expected: str) -> None:
    if not is_valid or 0 in shape:
        raise DataError(f"{_NAME} has the shape {shape}; as {kind} it is {expected}")
