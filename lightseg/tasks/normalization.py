"""Mean and standard deviation of the channels, as lists of a recipe and as tensors."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightseg.errors import ConfigError


def to_tensor(values: Sequence[float] | None, device: torch.device | None = None) -> Tensor | None:
    """Return one number per channel as a `(1, C, 1, 1)` float32 tensor."""
    return None if values is None else torch.tensor(values, device=device).view(1, -1, 1, 1)


def to_list(values: Tensor | None) -> list[float] | None:
    """Return the values of a `(1, C, 1, 1)` tensor as a list."""
    return None if values is None else values.flatten().tolist()


def check_scale(mean: list[float] | None, std: list[float] | None) -> None:
    """Check that mean and deviation are on the 0..1 scale.

    Raises:
        ConfigError: If a value is not within 0 and 1.
    """
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and not all(map(math.isfinite, values)):
            raise ConfigError(f"model.{name}: must be finite numbers, got {values}")
        if values is not None and not all(0 <= value <= 1 for value in values):
            raise ConfigError(f"model.{name}: 0..1 scale, please; {values} looks like 0..255: divide by 255")


def normalized(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return normalized float32 images from `(N, C, H, W)` uint8, or float on the 0..1 scale."""
    # in place, to save memory
    images = images.float().div_(255) if images.dtype == torch.uint8 else images
    return (images - mean).div_(std)
