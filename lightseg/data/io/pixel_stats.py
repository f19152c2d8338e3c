"""Mean and standard deviation of a dataset's pixels, for images that ImageNet's numbers do not describe."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lightseg.data.types import Array


def measure(images: Iterable[Array]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of images `(H, W, C)`, on the 0..1 scale of uint8.

    Args:
        images: At least one image.
    """
    pixels, total, squares = 0, np.zeros(()), np.zeros(())
    for image in images:
        flat: npt.NDArray[np.float64] = image.reshape(-1, image.shape[2]).astype(np.float64)
        flat = flat / 255 if image.dtype == np.uint8 else flat
        pixels, total, squares = pixels + len(flat), total + flat.sum(0), squares + (flat**2).sum(0)
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    # a constant channel has nothing to scale
    return mean.tolist(), np.where(std > 1e-6, std, 1.0).tolist()
