"""Feature pyramids of equally many channels, from the feature maps of any encoder."""

from torch import Tensor, nn

from lightseg.nets.heads.base import Levels, conv_norm, resize

_SCALES = (4, 2, 1, 0.5)
"""Sizes of a pyramid's maps, relative to the maps of a plain transformer."""


class Pyramid(nn.Module):
    """Pyramid of maps with `width` channels, from the finest to the coarsest.

    The maps of a pyramidal encoder are projected by a 1×1 convolution each. Those of a plain transformer, which are of
    one size, are projected and then rescaled to 4, 2, 1 and 1/2 times their size.

    Source: Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022, arXiv:2203.16527,
    section 3, for `from_last`; else the code of Bao et al., "BEiT", ICLR 2022, arXiv:2106.08254, which rescales the
    maps of four blocks. Changed: the projection comes first, and is followed by BatchNorm.

    Args:
        levels: The maps of the encoder.
        width: Channels of the maps.
        from_last: Whether all maps of a plain transformer are made from its last one.
    """

    def __init__(self, levels: Levels, width: int, from_last: bool = False) -> None:
        super().__init__()
        count = len(levels.channels)
        self.sources, scales = list(range(count)), [1.0] * count
        if levels.is_plain:
            quarters = [quarter * count // len(_SCALES) for quarter in range(len(_SCALES))]
            self.sources, scales = [count - 1] * len(_SCALES) if from_last else quarters, list(_SCALES)
        self.project = nn.ModuleList(
            conv_norm(levels.channels[source], width).extend(_rescale(width, scale))
            for source, scale in zip(self.sources, scales, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid of the encoder's feature maps."""
        return [project(features[source]) for project, source in zip(self.project, self.sources, strict=True)]


def top_down(maps: list[Tensor]) -> list[Tensor]:
    """Add to each map `(N, C, H, W)` of a pyramid all coarser ones.

    Source: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv:1612.03144, section 3.
    """
    merged = [maps[-1]]
    for finer in reversed(maps[:-1]):
        merged.append(finer + resize(merged[-1], finer))
    return merged[::-1]


def _rescale(width: int, scale: float) -> list[nn.Module]:
    """Return layers that rescale a map."""
    if scale < 1:
        # with padding, so that a map of one pixel stays one
        return [nn.MaxPool2d(3, stride=2, padding=1)]
    layers: list[nn.Module] = []
    while scale > 1:
        layers += [nn.GELU()] if layers else []
        layers.append(nn.ConvTranspose2d(width, width, 2, stride=2))
        scale /= 2
    return layers
