"""Feature levels of an encoder, and the layers that the heads share."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Levels(NamedTuple):
    """Feature maps of an encoder, as a head takes them: from the finest, or from the first block, to the last.

    Attributes:
        channels: Channels of each map.
        strides: Divisor of the image's sides, for each map.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """Return whether all maps are of one size, as those of a plain vision transformer."""
        return len(set(self.strides)) == 1


def conv_norm(in_channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, and a normalization."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, a normalization, and a rectifier."""
    return conv_norm(in_channels, out_channels, kernel).append(nn.ReLU(inplace=True))


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Resize a map `(N, C, H, W)` bilinearly to the height and width of another one."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def sum_resized(maps: list[Tensor]) -> Tensor:
    """Return the sum of maps `(N, C, H, W)` at the size of the first one."""
    total = maps[0]
    for smaller in maps[1:]:
        total = total + resize(smaller, total)
    return total
