"""Dense-prediction-transformer head."""

from torch import Tensor, nn

from lightseg.nets.heads.base import Levels, conv_norm, conv_norm_relu, resize
from lightseg.nets.heads.pyramid import Pyramid


class DPTHead(nn.Module):
    """DPT: maps of several blocks, reassembled to a pyramid and fused from coarse to fine by residual convolutions.

    Source: Ranftl, Bochkovskiy and Koltun, "Vision Transformers for Dense Prediction", ICCV 2021, arXiv:2103.13413,
    section 3. Changed: class and register tokens are ignored; all levels have `width` channels; a level is resized to
    the next finer one, so that maps may have any size; and the logits have the size of the finest level instead of
    twice that. The maps of a pyramidal encoder are not rescaled.

    Args:
        num_classes: Number of logits per pixel.
        levels: The maps of the encoder.
        width: Channels of all levels.
    """

    def __init__(self, num_classes: int, levels: Levels, width: int = 128) -> None:
        super().__init__()
        self.reassemble = Pyramid(levels, width)
        count = len(self.reassemble.sources)
        self.before = nn.ModuleList(_Residual(width) for _ in range(count))
        self.after = nn.ModuleList(_Residual(width) for _ in range(count))
        self.smooth = conv_norm_relu(width, width, 3)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits at the size of the finest map."""
        maps = [layer(level) for layer, level in zip(self.before, self.reassemble(features), strict=True)]
        fused = self.after[-1](maps[-1])
        for layer, finer in zip(reversed(self.after[:-1]), reversed(maps[:-1]), strict=True):
            fused = layer(finer + resize(fused, finer))
        logits: Tensor = self.classifier(self.smooth(fused))
        return logits


class _Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # the rectifiers come first, and must leave the input as it is
        first, second = conv_norm(width, width, 3), conv_norm(width, width, 3)
        self.layers = nn.Sequential(nn.ReLU(), first, nn.ReLU(inplace=True), second)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.layers(x)
        return x + residual
