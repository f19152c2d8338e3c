"""Images as a user may have them: files, PIL images, arrays, tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from lightseg.data.io.images import AS_STORED, ImageValues, as_image
from lightseg.data.io.pixels import from_array, from_pillow, orientation, turn
from lightseg.errors import DataError
from lightseg.inference.readers import Source, of_array, of_file

_NAME = "the image"


def as_source(
    image: str | Path | Image.Image | npt.NDArray[Any] | Tensor, channels: int, values: ImageValues = AS_STORED
) -> Source:
    """Return an image in whatever form, with the channels of a net.

    As in a file, grey is repeated for three channels, and colour becomes grey for one.

    Args:
        image: A file, a PIL image, an array `(H, W)` or `(H, W, C)`, or a tensor `(C, H, W)`.
        channels: How many the net wants.
        values: The meaning of the values of files and of integers, where their depth does not say it.

    Raises:
        DataError: If it is none of these, or has other channels or values.
    """
    if isinstance(image, str | Path):
        return of_file(Path(image), channels, values=values)
    if isinstance(image, Image.Image):
        pixels = from_pillow(image)
        pixels = pixels._replace(array=turn(pixels.array, orientation(image)))
        return of_array(as_image(_NAME, pixels, channels, values), _NAME)
    if isinstance(image, Tensor):
        _require(image.ndim == 3, "tensor", tuple(image.shape), "(C, H, W)")
        # NumPy has no bfloat16
        image = image.float() if image.is_floating_point() else image
        array = image.detach().cpu().numpy().transpose(1, 2, 0)
    elif isinstance(image, np.ndarray):
        _require(image.ndim in (2, 3), "array", image.shape, "(H, W) or (H, W, C)")
        array = image if image.ndim == 3 else image[..., None]
    else:
        raise DataError(f"an image is a path, a PIL image, an array or a tensor, not a {type(image).__name__}")
    have = array.shape[2] if array.ndim == 3 else 1
    if have not in {channels, {1: 3, 3: 1}.get(channels)}:
        raise DataError(f"{_NAME} {array.shape} has {have} channels, but the net takes {channels}")
    # floats are on the 0..1 scale already
    values = AS_STORED if array.dtype.kind == "f" else values
    return of_array(as_image(_NAME, from_array(array), channels, values), _NAME)


def _require(fits: bool, kind: str, shape: tuple[int, ...], expected: str) -> None:
    if not fits or 0 in shape:
        raise DataError(f"{_NAME} has the shape {shape}; as {'an' if kind == 'array' else 'a'} {kind} it is {expected}")
