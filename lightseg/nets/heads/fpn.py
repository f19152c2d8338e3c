"""Feature-pyramid head."""

from torch import Tensor, nn

from lightseg.nets.heads.base import Levels, conv_norm_relu, sum_resized
from lightseg.nets.heads.pyramid import Pyramid, top_down


class FPNHead(nn.Module):
    """Semantic FPN: a feature pyramid, a convolution at each level, and the sum of the levels.

    A plain transformer has the simple pyramid of its last map, without a top-down path.

    Source: Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, arXiv:1901.02446, section 3; of a plain
    transformer Li et al., ECCV 2022, arXiv:2203.16527. Changed: one convolution per level at its own size, where the
    paper has one for each doubling of the size; BatchNorm instead of GroupNorm.

    Args:
        num_classes: Number of logits per pixel.
        levels: The maps of the encoder.
        width: Channels of the pyramid.
    """

    def __init__(self, num_classes: int, levels: Levels, width: int = 128) -> None:
        super().__init__()
        self.pyramid, self.is_plain = Pyramid(levels, width, from_last=True), levels.is_plain
        self.smooth = nn.ModuleList(conv_norm_relu(width, width, 3) for _ in self.pyramid.sources)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits at the size of the finest map."""
        maps = self.pyramid(features)
        maps = maps if self.is_plain else top_down(maps)
        smooth = [layer(level) for layer, level in zip(self.smooth, maps, strict=True)]
        logits: Tensor = self.classifier(sum_resized(smooth))
        return logits
