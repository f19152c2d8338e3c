"""Fully convolutional network."""

from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from lightseg.errors import ConfigError
from lightseg.nets.base import Net
from lightseg.nets.timm_encoder import TimmEncoder, image_sides, reference
from lightseg.nets.unused import freeze_unused

_FINEST = {"32s": 32, "16s": 16, "8s": 8}


class FCN(Net):
    """FCN-32s, FCN-16s or FCN-8s: class scores at several strides, each upsampled and added to the next finer one.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
    arXiv:1411.4038. Changed: upsampling is bilinear, where the paper learns a deconvolution that starts bilinear (it
    fixes the last one, and found no gain in learning it; bilinear takes any size and leaves no checkerboard); the trunk
    is a VGG of two convolutions per stage with batch normalisation, or any encoder of timm, without the 4096-wide fc6
    and fc7; layers of an encoder that no score depends on do not require gradients.

    Args:
        num_classes: Number of logits per pixel.
        in_channels: Channels of the input; the first convolution's pretrained weights are adapted to them.
        variant: Stride of the finest scores: `32s` has no skip; `16s` adds one from stride 16; `8s` one more from 8.
        encoder: None for a plain trunk of five stages; or the name of a timm model, best with its tag.
        encoder_weights: None for random weights; `imagenet` for the weights of the name's tag; a tag; or a
            `.safetensors`, `.pt` or `.pth` file with timm's names. Only a name touches the network.
        width: Channels of the plain trunk's first stage (64 in VGG); unused with an encoder.
        kwargs: More arguments for `timm.create_model`; only with an encoder.

    Raises:
        ConfigError: Unknown variant, encoder or weights; an encoder without features at the variant's stride; or
            weights or arguments without one.
    """

    encoder: nn.Module

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        variant: Literal["8s", "16s", "32s"] = "8s",
        encoder: str | None = None,
        encoder_weights: str | None = None,
        width: int = 32,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if variant not in _FINEST:
            raise ConfigError(f"FCN has no variant {variant!r}: choose one of {', '.join(_FINEST)}.")
        if encoder is None:
            if encoder_weights is not None or kwargs:
                raise ConfigError("FCN's plain trunk takes no encoder_weights or kwargs: set --model.net.encoder too.")
            trunk = _Trunk(in_channels, width, _FINEST[variant])
            self.encoder, self.stride, self.channels_last, channels = trunk, 32, False, trunk.channels
        else:
            request = TimmEncoder.request(encoder, encoder_weights, in_channels, kwargs)
            model: Any = request.build(in_channels, features_only=True, out_indices=_levels(request, variant))
            self.encoder, self.stride, channels = (
                model,
                max(model.feature_info.reduction()),
                model.feature_info.channels(),
            )
            self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
            self.normalization = request.normalization
        self.scores = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in channels)
        if encoder is not None:
            freeze_unused(self, in_channels, *image_sides(self.encoder, self.stride, request.kwargs))

    def forward(self, x: Tensor) -> Tensor:
        """Segment images.

        Args:
            x: `(N, in_channels, H, W)`, float; H and W multiples of `stride`.

        Returns:
            Logits `(N, num_classes, H, W)`.
        """
        features: list[Tensor] = self.encoder(x)
        if self.channels_last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        logits: Tensor = self.scores[-1](features[-1])
        for score, feature in zip(reversed(self.scores[:-1]), reversed(features[:-1]), strict=True):
            logits = score(feature) + _resize(logits, feature)
        return _resize(logits, x)


class _Trunk(nn.Module):
    """VGG's five stages of width, 2, 4, 8 and 8 times width; returns the features from stride `finest` to 32."""

    def __init__(self, in_channels: int, width: int, finest: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.stages = nn.ModuleList(_stage(i, o) for i, o in zip([in_channels, *widths[:-1]], widths, strict=True))
        self.first = finest.bit_length() - 2
        self.channels = widths[self.first :]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[self.first :]


def _stage(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        conv = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _levels(request: TimmEncoder, variant: str) -> list[int]:
    """Return the indices of the encoder's last features at each stride from the variant's on."""
    try:
        strides: list[int] = reference(request.name, features_only=True).feature_info.reduction()
    # timm has no one way to say that a model gives no feature maps
    except Exception as error:
        raise ConfigError(f"timm's {request.name} gives no feature maps: choose another encoder.") from error
    last = {stride: index for index, stride in enumerate(strides)}
    if _FINEST[variant] not in last:
        levels = ", ".join(map(str, sorted(last)))
        raise ConfigError(
            f"FCN-{variant} needs features at stride {variant[:-1]}; {request.name} has strides {levels}."
        )
    return [last[stride] for stride in sorted(last) if stride >= _FINEST[variant]]


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
