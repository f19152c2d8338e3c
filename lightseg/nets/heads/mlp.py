"""Multilayer-perceptron head."""

from torch import Tensor, nn

from lightseg.nets.heads.base import Levels, conv_norm, sum_resized


class MLPHead(nn.Module):
    """Multilayer perceptron on the features of each position: one hidden layer.

    Source: Bansal et al., "PixelNet: Representation of the pixels, by the pixels, and for the pixels", 2017,
    arXiv:1702.06506, section 3: a perceptron on the features of a pixel from several levels. Changed: one hidden layer
    instead of two, which each level has at its own size, so that only `width` channels are resized.

    Args:
        num_classes: Number of logits per pixel.
        levels: The maps of the encoder.
        width: Channels of the hidden layer.
    """

    def __init__(self, num_classes: int, levels: Levels, width: int = 128) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(conv_norm(channels, width).append(nn.GELU()) for channels in levels.channels)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits at the size of the finest map."""
        hidden = [layer(feature) for layer, feature in zip(self.hidden, features, strict=True)]
        logits: Tensor = self.classifier(sum_resized(hidden))
        return logits
