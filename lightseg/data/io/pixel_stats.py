"""Mean and standard deviation of a dataset's pixels, for images to which ImageNet's values do not apply."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lightseg.data.types import Array


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
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    # a constant channel must not be divided by 0
    return mean.tolist(), np.where(std > 1e-6, std, 1.0).tolist()
