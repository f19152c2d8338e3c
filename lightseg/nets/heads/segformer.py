"""All-MLP head of SegFormer."""

import torch
from torch import Tensor, nn

from lightseg.nets.heads.base import Levels, conv_norm_relu, resize


class SegFormerHead(nn.Module):
    """All-MLP decoder: a projection of each level, fused after concatenation.

    Source: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS
    2021, arXiv:2105.15203, section 3.2, eq. 4; BatchNorm and dropout as in its code.

    Args:
        num_classes: Number of logits per pixel.
        levels: The maps of the encoder.
        width: Channels of each projection.
    """

    def __init__(self, num_classes: int, levels: Levels, width: int = 128) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in levels.channels)
        self.fuse = conv_norm_relu(len(levels.channels) * width, width)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits at the size of the finest map."""
        maps = [project(feature) for project, feature in zip(self.project, features, strict=True)]
        fused = self.fuse(torch.cat([resize(level, maps[0]) for level in maps], 1))
        logits: Tensor = self.classifier(self.dropout(fused))
        return logits
