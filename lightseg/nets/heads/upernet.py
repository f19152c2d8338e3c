"""Unified perceptual parsing head."""

import torch
from torch import Tensor, nn

from lightseg.nets.heads.base import Levels, conv_norm_relu, resize
from lightseg.nets.heads.pyramid import Pyramid, top_down

_BINS = (1, 2, 3, 6)


class UPerNetHead(nn.Module):
    """UPerNet: a feature pyramid with pyramid pooling at its coarsest level; all levels are concatenated.

    Source: Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018, arXiv:1807.10221, section 3.
    Changed: the coarsest map is projected to `width` channels before it is pooled.

    Args:
        num_classes: Number of logits per pixel.
        levels: The maps of the encoder.
        width: Channels of the pyramid.
    """

    def __init__(self, num_classes: int, levels: Levels, width: int = 128) -> None:
        super().__init__()
        self.pyramid, self.context = Pyramid(levels, width), PyramidPooling(width)
        count = len(self.pyramid.sources)
        self.smooth = nn.ModuleList(conv_norm_relu(width, width, 3) for _ in range(count))
        self.fuse = conv_norm_relu(count * width, width, 3)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits at the size of the finest map."""
        maps = self.pyramid(features)
        maps = top_down([*maps[:-1], self.context(maps[-1])])
        maps = [layer(level) for layer, level in zip(self.smooth, maps, strict=True)]
        fused = self.fuse(torch.cat([resize(level, maps[0]) for level in maps], 1))
        logits: Tensor = self.classifier(fused)
        return logits


class PyramidPooling(nn.Module):
    """Context of each position: means over 1, 4, 9 and 36 regions of the map.

    Source: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, arXiv:1612.01105, section 3.2. Changed: the pooled
    maps have no normalization, which could not train on the mean of a single image.

    Args:
        width: Channels of the map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(width, max(width // len(_BINS), 1), 1) for _ in _BINS)
        self.fuse = conv_norm_relu(width + len(_BINS) * max(width // len(_BINS), 1), width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the context at the size of the map."""
        pooled = [resize(project(pool(x, bins)), x) for project, bins in zip(self.project, _BINS, strict=True)]
        context: Tensor = self.fuse(torch.cat([x, *pooled], 1))
        return context


def pool(x: Tensor, bins: int) -> Tensor:
    """Average a map over a grid of regions, as `adaptive_avg_pool2d` does, which no graph of any size can contain.

    Args:
        x: `(N, C, H, W)`.
        bins: Rows and columns of the grid.

    Returns:
        `(N, C, bins, bins)`.
    """
    rows, columns = (_shares(size, bins, x) for size in x.shape[-2:])
    return rows @ x @ columns.transpose(0, 1)


def _shares(size: int, bins: int, like: Tensor) -> Tensor:
    """Return the weight `(bins, size)` of each position in the mean of each region."""
    position, region = torch.arange(size, device=like.device), torch.arange(bins, device=like.device)[:, None]
    is_inside = (position >= region * size // bins) & (position < ((region + 1) * size + bins - 1) // bins)
    return is_inside.to(like.dtype) / is_inside.sum(1, keepdim=True).to(like.dtype)
