"""Fully convolutional network."""

from typing import Any, Literal

from torch import Tensor, nn

from lightseg.errors import ConfigError
from lightseg.nets.base import Net
from lightseg.nets.grad_checkpointing import checkpoint_gradients
from lightseg.nets.heads.base import resize
from lightseg.nets.timm_encoder import TimmEncoder, image_sides, reference
from lightseg.nets.unused import freeze_unused
from lightseg.nets.weights import load_fitting_weights

_FINEST = {"32s": 32, "16s": 16, "8s": 8}
"""Stride of the finest scores of each variant."""


class FCN(Net):
    """FCN-32s, FCN-16s or FCN-8s: class scores at several strides, each upsampled and added to the next finer one.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
    arXiv:1411.4038. Changed: upsampling is bilinear, where the paper learns a deconvolution initialized as bilinear (it
    fixes the last one, since learning it gave no gain; bilinear upsampling takes any size and has no checkerboard
    artifacts); the trunk is a VGG of two convolutions per stage with batch normalization, or any encoder of timm,
    without the 4096-wide fc6 and fc7; layers of an encoder that no score depends on do not require gradients.

    Args:
        num_classes: Number of logits per pixel.
        in_channels: Channels of the input; the first convolution's pretrained weights are adapted to them.
        variant: Stride of the finest scores: `32s` has no skip connection, `16s` one from stride 16, and `8s` a second
            one from stride 8.
        encoder: None for a plain trunk of five stages; or the name of a timm model, preferably with its tag.
        encoder_weights: None for random weights; `imagenet` for the weights of the name's tag; a tag; or a
            `.safetensors`, `.pt` or `.pth` file with timm's names, or an export of lightseg. Only a name is downloaded.
            Of the plain trunk, an export or checkpoint of lightseg with such a trunk, whose weights are taken where
            name and shape agree.
        width: Channels of the plain trunk's first stage (64 in VGG); unused with an encoder.
        kwargs: Further arguments for `timm.create_model`; only with an encoder.
        grad_checkpointing: Recompute the activations of the encoder in the backward pass instead of keeping them: less
            memory, a slower step, the same gradients; only with an encoder.

    Raises:
        ConfigError: If a variant, encoder or weights are unknown, the encoder has no features at the variant's stride,
            no weight fits, or arguments are set without an encoder.
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
        grad_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if variant not in _FINEST:
            raise ConfigError(f"model.net.variant: must be one of {', '.join(_FINEST)}, got {variant!r}")
        if encoder is None:
            if kwargs or grad_checkpointing:
                raise ConfigError("model.net: kwargs and grad_checkpointing need an encoder; set model.net.encoder")
            trunk = _Trunk(in_channels, width, _FINEST[variant])
            self.encoder, self.stride, self.channels_last, channels = trunk, 32, False, trunk.channels
            if encoder_weights is not None:
                self.normalization = load_fitting_weights(
                    trunk, encoder_weights, start="net.encoder.", owner="FCN's plain trunk", in_channels=in_channels
                )
        else:
            request = TimmEncoder.request(encoder, encoder_weights, in_channels, kwargs)
            model: Any = request.build(in_channels, features_only=True, out_indices=_levels(request, variant))
            info = model.feature_info
            self.encoder, self.stride, channels = model, max(info.reduction()), info.channels()
            self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
            self.normalization = request.normalization
        self.scores = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in channels)
        if encoder is not None:
            freeze_unused(self, in_channels, *image_sides(self.encoder, self.stride, request.kwargs))
        self.grad_checkpointing = grad_checkpointing
        if grad_checkpointing and encoder is not None:
            checkpoint_gradients(self, self.encoder, encoder)

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
            logits = score(feature) + resize(logits, feature)
        return resize(logits, x)


class _Trunk(nn.Module):
    """Five VGG stages, the first with `width` channels, whose output is the features of stride `finest` to 32."""

    def __init__(self, in_channels: int, width: int, finest: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.stages = nn.ModuleList(map(_stage, [in_channels, *widths[:-1]], widths))
        self.first = finest.bit_length() - 2
        self.channels = widths[self.first :]

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[self.first :]

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:  # noqa: ARG002 - each stage is one layer
        """Return the expression that finds the stage of a parameter, as the models of timm do."""
        return {"stages": r"^stages\.(\d+)"}


def _stage(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        conv = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _levels(request: TimmEncoder, variant: str) -> list[int]:
    """Return the indices of the encoder's last features at each stride, from the variant's stride up."""
    try:
        strides: list[int] = reference(request.name, features_only=True).feature_info.reduction()
    # timm raises various errors for models without feature maps
    except Exception as error:
        raise ConfigError(
            f"model.net.encoder: timm's {request.name} has no feature maps; choose another encoder"
        ) from error
    last = {stride: index for index, stride in enumerate(strides)}
    if _FINEST[variant] not in last:
        available = ", ".join(map(str, sorted(last)))
        raise ConfigError(
            f"model.net.variant: FCN-{variant} needs features at stride {_FINEST[variant]}; {request.name} has strides "
            f"{available}; choose another variant or encoder"
        )
    return [last[stride] for stride in sorted(last) if stride >= _FINEST[variant]]
