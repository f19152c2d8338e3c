"""Small convolutional network for fast training on CIFAR-10, with a whitening first layer."""

from collections.abc import Iterable
from itertools import islice, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightseg.errors import ConfigError
from lightseg.nets.base import Net

_KERNEL, _IMAGES, _EPSILON = 2, 5000, 5e-4
"""Side of the patches, number of images they are taken from, and regularization of their variances."""

_MIN_SIDE = 9
"""Smallest side of an image, which the last pooling reduces to one pixel."""


class WhitenedCNN(Net):
    """CNN of a whitening layer, six convolutions in three groups, and a dense layer: 1,972,792 parameters on CIFAR-10.

    The first layer maps 2×2 patches to uncorrelated features of equal variance, and to their negatives, since a GELU
    follows. Its weights are computed from training images when a training starts, and only its bias is learned.

    Source: Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, sections 3.1 to 3.3,
    airbench94, which follows Page 2018, "How to train your ResNet", and Jordan (tysam-code) 2023, hlb-CIFAR10. Changed:
    the last pooling takes the maximum of all pixels, so that images may be larger than 32×32; patches are taken from
    5,000 random images of the training split instead of its first ones; and the first layer's bias is trained to the
    end instead of for three epochs.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the input: 3 for RGB, 1 for grayscale.
        width: Channels of the first group; the other two have four times as many.
        logit_scale: Factor of the logits, so that the initial ones are small.
        norm_momentum: Momentum of BatchNorm: the weight of a batch in the running statistics.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 64,
        logit_scale: float = 1 / 9,
        norm_momentum: float = 0.4,
    ) -> None:
        super().__init__()
        self.logit_scale = logit_scale
        self.whiten = nn.Conv2d(in_channels, 2 * in_channels * _KERNEL**2, _KERNEL)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]
        widths = (self.whiten.out_channels, width, 4 * width, 4 * width)
        self.groups = nn.Sequential(*(_Group(before, after, norm_momentum) for before, after in pairwise(widths)))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: `(N, in_channels, H, W)`, float.

        Returns:
            Logits `(N, num_classes)`.

        Raises:
            ConfigError: If the images are too small.
        """
        if min(x.shape[-2:]) < _MIN_SIDE:
            height, width = x.shape[-2:]
            raise ConfigError(f"WhitenedCNN needs images of {_MIN_SIDE}×{_MIN_SIDE} or more and got {height}×{width}")
        logits: Tensor = self.head(self.groups(F.gelu(self.whiten(x))).amax((2, 3)))
        return logits * self.logit_scale

    @torch.no_grad()
    def start_from(self, images: Iterable[Tensor]) -> None:
        """Compute the weights of the first layer; see `Net.start_from`."""
        whitening = whitening_filters(islice(images, _IMAGES), _KERNEL).to(self.whiten.weight)
        self.whiten.weight.copy_(torch.cat([whitening, -whitening]))


def whitening_filters(images: Iterable[Tensor], kernel: int, epsilon: float = _EPSILON) -> Tensor:
    """Return filters whose outputs on the patches of images are uncorrelated and of equal variance.

    Args:
        images: Normalized images of any sizes, `(C, H, W)` each.
        kernel: Side of the patches.
        epsilon: Added to the variances, so that directions of little variance are not amplified.

    Returns:
        Filters `(C * kernel**2, C, kernel, kernel)` float64, by decreasing variance.

    Source: Page 2018, "How to train your ResNet 8: bag of tricks", PCA whitening of patches.
    """
    total: Tensor | None = None
    count, channels = 0, 0
    for image in images:
        channels = len(image)
        patches = F.unfold(image[None].double(), kernel)[0]
        total = patches @ patches.T + (0 if total is None else total)
        count += patches.shape[1]
    assert total is not None, "a training split has images"
    variances, directions = torch.linalg.eigh(total.cpu() / count)
    # the sign of an eigenvector depends on the library
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    filters = (directions * largest.sign() / (variances + epsilon).sqrt()).flip(1)
    return torch.reshape(filters.T, (-1, channels, kernel, kernel))


class _Group(nn.Sequential):
    """Group of two convolutions, with pooling after the first."""

    def __init__(self, before: int, after: int, momentum: float) -> None:
        super().__init__(
            _convolution(before, after),
            nn.MaxPool2d(2),
            _norm(after, momentum),
            nn.GELU(),
            _convolution(after, after),
            _norm(after, momentum),
            nn.GELU(),
        )


def _convolution(before: int, after: int) -> nn.Conv2d:
    """Return a convolution whose first channels are initialized as the identity."""
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:before])
    return convolution


def _norm(width: int, momentum: float) -> nn.BatchNorm2d:
    """Return a batch normalization without a learned scale."""
    norm = nn.BatchNorm2d(width, eps=1e-12, momentum=momentum)
    norm.weight.requires_grad_(False)
    return norm
