"""Test-time augmentation: what a net says of an image seen in several ways, as one mean."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.data.device_transforms import reflected
from lightseg.errors import require

AUGMENTATIONS = ("flip", "scale", "shift")
SCALES = (0.75, 1.0, 1.25)
"""Sizes, relative to the image's own, at which `scale` shows it."""
SHIFTS = {0: 0.5, -1: 0.25, 1: 0.25}
"""Pixels by which `shift` moves an image, down and to the right alike, and what each way counts.

Source: Jordan 2024, arXiv:2404.00498, section 3.5; there the logits are averaged.
"""


def mean_probabilities(net: Callable[[Tensor], Tensor], images: Tensor, names: Sequence[str]) -> Tensor:
    """Return the mean of the net's probabilities over all combinations of the augmentations.

    Args:
        net: Turns `(N, C, H, W)` images into logits `(N, K, H, W)`, or `(N, K)` of a classifier.
        images: `(N, C, H, W)` uint8, or float on the 0..1 scale.
        names: Some of `AUGMENTATIONS`.

    Returns:
        Float32 of the shape of the logits, at the size of the images.

    Raises:
        ConfigError: If the class of every pixel is asked of shifted images.
    """
    ways = list(product(SCALES if "scale" in names else (1.0,), (False, True) if "flip" in names else (False,)))
    shifts = SHIFTS if "shift" in names else {0: 1.0}
    views = [
        _probabilities(net, _shifted(images, by), scale, mirrored) * weight / len(ways)
        for by, weight in shifts.items()
        for scale, mirrored in ways
    ]
    require(views[0].ndim == 2 or "shift" not in names, "tta: shift is for classification; take flip or scale here")
    return torch.stack(views).sum(0)


def _probabilities(net: Callable[[Tensor], Tensor], images: Tensor, scale: float, mirrored: bool) -> Tensor:
    size = images.shape[2:]
    logits = net(_scaled(images.flip(-1) if mirrored else images, scale)).float()
    if logits.ndim == 4:
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        logits = logits.flip(-1) if mirrored else logits
    return logits.softmax(1)


def _shifted(images: Tensor, by: int) -> Tensor:
    """Images moved down and to the right; what is missing there is mirrored in."""
    if by == 0:
        return images
    height, width = images.shape[2:]
    rows, columns = (reflected(torch.arange(side, device=images.device) - by, side) for side in (height, width))
    return images[:, :, rows][:, :, :, columns]


def _scaled(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    size = [max(1, round(side * scale)) for side in images.shape[2:]]
    # without antialiasing a smaller image would hold patterns that the net has never seen
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
