"""Test-time augmentation: what a net says of an image seen in several ways, as one mean."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

AUGMENTATIONS = ("flip", "scale")
SCALES = (0.75, 1.0, 1.25)
"""Sizes, relative to the image's own, at which `scale` shows it."""


def mean_probabilities(net: Callable[[Tensor], Tensor], images: Tensor, names: Sequence[str]) -> Tensor:
    """The mean of the net's probabilities over all combinations of the augmentations.

    Args:
        net: Turns `(N, C, H, W)` images into logits `(N, K, H, W)`, or `(N, K)` of a classifier.
        images: `(N, C, H, W)` uint8, or float on the 0..1 scale.
        names: Some of `AUGMENTATIONS`.

    Returns:
        Float32 of the shape of the logits, at the size of the images.
    """
    ways = list(product(SCALES if "scale" in names else (1.0,), (False, True) if "flip" in names else (False,)))
    seen = [_probabilities(net, images, scale, mirrored) / len(ways) for scale, mirrored in ways]
    return torch.stack(seen).sum(0)


def _probabilities(net: Callable[[Tensor], Tensor], images: Tensor, scale: float, mirrored: bool) -> Tensor:
    size = images.shape[2:]
    logits = net(_scaled(images.flip(-1) if mirrored else images, scale)).float()
    if logits.ndim == 4:
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        logits = logits.flip(-1) if mirrored else logits
    return logits.softmax(1)


def _scaled(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    size = [max(1, round(side * scale)) for side in images.shape[2:]]
    # without antialiasing a smaller image would hold patterns that the net has never seen
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
