"""Test-time augmentation: mean probabilities of a net over several views of an image."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.data.device_transforms import reflected
from lightseg.errors import require

AUGMENTATIONS = ("flip", "scale", "shift")
SCALES = (0.75, 1.0, 1.25)
"""Sizes of the views of `scale`, relative to the size of the image."""
SHIFTS = {0: 0.5, -1: 0.25, 1: 0.25}
"""Weight of each view of `shift`, by its offset in pixels, down and to the right alike.

Source: Jordan 2024, arXiv:2404.00498, section 3.5; there the logits are averaged.
"""


def mean_probabilities(
    net: Callable[[Tensor], Tensor], images: Tensor, names: Sequence[str], multilabel: bool = False
) -> Tensor:
    """Return the mean of the net's probabilities over all combinations of the augmentations.

    Args:
        net: Turns `(N, C, H, W)` images into logits `(N, K, H, W)`, or `(N, K)` of a classifier.
        images: `(N, C, H, W)` uint8, or float on the 0..1 scale.
        names: Some of `AUGMENTATIONS`.
        multilabel: Whether classes may overlap.

    Returns:
        Float32 of the shape of the logits, at the size of the images.

    Raises:
        ConfigError: If a segmentation is augmented by `shift`.
    """
    views = list(product(SCALES if "scale" in names else (1.0,), (False, True) if "flip" in names else (False,)))
    shifts = SHIFTS if "shift" in names else {0: 1.0}
    weighted = [
        _probabilities(net, _shift(images, offset), scale, is_mirrored, multilabel) * weight / len(views)
        for offset, weight in shifts.items()
        for scale, is_mirrored in views
    ]
    require(weighted[0].ndim == 2 or "shift" not in names, "tta: shift is for classification; take flip or scale here")
    return torch.stack(weighted).sum(0)


def _probabilities(
    net: Callable[[Tensor], Tensor], images: Tensor, scale: float, is_mirrored: bool, multilabel: bool
) -> Tensor:
    size = images.shape[2:]
    logits = net(_rescale(images.flip(-1) if is_mirrored else images, scale)).float()
    if logits.ndim == 4:
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        logits = logits.flip(-1) if is_mirrored else logits
    return logits.sigmoid() if multilabel else logits.softmax(1)


def _shift(images: Tensor, offset: int) -> Tensor:
    """Move images down and to the right by `offset` pixels, with reflected borders."""
    if offset == 0:
        return images
    height, width = images.shape[2:]
    rows, columns = (reflected(torch.arange(side, device=images.device) - offset, side) for side in (height, width))
    return images[:, :, rows][:, :, :, columns]


def _rescale(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    size = [max(1, round(side * scale)) for side in images.shape[2:]]
    # antialiasing keeps aliasing patterns, which are absent from the training images, out of a smaller image
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
