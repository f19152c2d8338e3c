"""U-Net for segmentation."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from lightseg.errors import ConfigError
from lightseg.nets.base import Net
from lightseg.nets.weights import load_fitting_weights

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    # 8 groups or fewer: the group count must divide the channels
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
    "none": lambda channels: nn.Identity(),  # noqa: ARG005
}

_MAX_DEPTH = 12
"""Maximum depth: an image of 4096 pixels can be halved 12 times."""


class UNet(Net):
    """U-Net: an encoder that halves the resolution, a decoder that doubles it, and skips between equal resolutions.

    Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI
    2015, arXiv:1505.04597. Changed: convolutions are padded (the paper's unpadded ones lose 92 pixels on each side),
    each is followed by a normalization, there is no dropout, and the default width is 32 instead of 64. Weights are
    initialized as in the paper, with variance 2/fan_in.

    Args:
        num_classes: Number of logits per pixel.
        in_channels: Channels of the input: 3 for RGB, 1 for grayscale.
        width: Channels at full resolution; each level below has twice as many.
        depth: Number of times the resolution is halved; the input's sides must be multiples of `2**depth`.
        norm: Normalization after each convolution: `batch`; `instance` or `group` (8 groups), which do not depend on
            the batch and so suit batches of 1 or 2; or `none`.
        encoder_weights: None for random weights; or an export or checkpoint of lightseg with a UNet, whose weights on
            the way down are taken where name and shape agree.

    Raises:
        ConfigError: If `norm` is unknown, `depth` or `width` is out of range, or no weight fits.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        width: int = 32,
        depth: int = 4,
        norm: Literal["batch", "instance", "group", "none"] = "batch",
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__()
        if norm not in _NORMS:
            raise ConfigError(f"UNet has no norm {norm!r}; choose one of {', '.join(_NORMS)}")
        if depth < 1 or width < 1:
            raise ConfigError(f"UNet needs a depth and a width of 1 or more, got depth={depth}, width={width}")
        if depth > _MAX_DEPTH:
            raise ConfigError(
                f"model.net.depth: {depth} would need images of {2 ** min(depth, 99):g} pixels; "
                f"set {_MAX_DEPTH} or less"
            )
        self.stride = 2**depth
        widths = [width * 2**level for level in range(depth + 1)]
        above = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(_double_conv(i, o, norm) for i, o in zip(above, widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(_double_conv(2 * w, w, norm) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, num_classes, 1)
        self.apply(_he)
        if encoder_weights is not None:
            self.normalization = load_fitting_weights(
                self.down, encoder_weights, start="net.down.", owner="UNet", in_channels=in_channels
            )

    def forward(self, x: Tensor) -> Tensor:
        """Segment images.

        Args:
            x: `(N, in_channels, H, W)`, float; H and W multiples of `stride`.

        Returns:
            Logits `(N, num_classes, H, W)`.
        """
        skips: list[Tensor] = []
        for level, conv in enumerate(self.down):
            x = conv(x if level == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        for upsample, conv in zip(self.upsample, self.up, strict=True):
            x = conv(torch.cat([skips.pop(), upsample(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _double_conv(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        # a normalization subtracts the mean, which cancels a bias
        layers.append(nn.Conv2d(channels, out_channels, 3, padding=1, bias=norm == "none"))
        layers.append(_NORMS[norm](out_channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


@torch.no_grad()
def _he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
