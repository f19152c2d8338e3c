"""Segmentation net of an encoder of timm and a light head."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from lightseg.errors import ConfigError, did_you_mean
from lightseg.nets.base import Net, first_line
from lightseg.nets.grad_checkpointing import checkpoint_gradients
from lightseg.nets.heads import HEADS, HeadName, build_head
from lightseg.nets.timm_encoder import TimmEncoder
from lightseg.nets.timm_features import choose_levels, remove_unused
from lightseg.nets.unused import freeze_unused


class Segmenter(Net):
    """Any encoder of timm, pyramidal or a plain vision transformer, with a light head.

    A head takes up to four feature maps: of a pyramidal encoder those of stride 4 to 32; of a plain transformer those
    of four blocks at equal distances, normalized by its last layer. Layers behind the last map are left out.

    Source: encoders are those of Wightman, "PyTorch Image Models", 2019, doi:10.5281/zenodo.4414861; the class of each
    head in `lightseg.nets.heads` names its paper.

    Args:
        num_classes: Number of logits per pixel.
        in_channels: Channels of the input; the first convolution's pretrained weights are adapted to them.
        encoder: Name of a timm model, preferably with its tag (`vit_small_patch14_dinov2.lvd142m`).
        head: `linear`, one linear layer; `mlp`, one with a hidden layer; `fpn`, Semantic FPN, on the simple feature
            pyramid of a plain transformer; `upernet`; `segformer`, its all-MLP decoder; or `dpt`.
        encoder_weights: None for random weights; `imagenet` for the weights of the name's tag; a tag; or a
            `.safetensors`, `.pt` or `.pth` file with timm's names, or an export of lightseg. Only a name is downloaded.
        width: Channels of the head; None for its default, 128. `linear` has none.
        kwargs: Further arguments for `timm.create_model`, such as `{drop_path_rate: 0.1}`.
        grad_checkpointing: Recompute the activations of the encoder in the backward pass instead of keeping them: less
            memory, a slower step, the same gradients.

    Raises:
        ConfigError: If a head, encoder, tag or argument is unknown, weights do not fit or cannot be downloaded, or the
            encoder has no feature maps, or timm has no gradient checkpointing of it.
    """

    encoder: nn.Module

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "resnet18.a1_in1k",
        head: HeadName = "fpn",
        encoder_weights: str | None = None,
        width: int | None = None,
        kwargs: dict[str, Any] | None = None,
        grad_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        _check_head(head, width)
        request = TimmEncoder.request(encoder, encoder_weights, in_channels, kwargs)
        self.encoder = request.build(in_channels, num_classes=0)
        self.normalization = request.normalization
        self.indices, levels = choose_levels(self.encoder, request.name)
        self.is_plain = levels.is_plain
        remove_unused(self.encoder, self.indices, keeps_norm=levels.is_plain)
        self.head = build_head(head, num_classes, levels, width)
        self.size: tuple[int, int] | None = None
        self._find_stride(max(levels.strides), in_channels, request)
        self.grad_checkpointing = grad_checkpointing
        if grad_checkpointing:
            checkpoint_gradients(self, self.encoder, request.name)

    def forward(self, x: Tensor) -> Tensor:
        """Segment images.

        Args:
            x: `(N, in_channels, H, W)`, float; H and W multiples of `stride`.

        Returns:
            Logits `(N, num_classes, H, W)`.

        Raises:
            ConfigError: If the encoder takes images of another size alone.
        """
        if self.size is not None and tuple(x.shape[-2:]) != self.size:
            height, width = self.size
            raise ConfigError(
                f"model.net.encoder: takes images of {height}×{width} alone, got {x.shape[-2]}×{x.shape[-1]}; crop or "
                "resize them to that, set model.net.kwargs.img_size, or choose another encoder"
            )
        encoder: Any = self.encoder
        # the intermediate maps of a plain transformer are normalized by its last layer, as its authors do
        features = encoder.forward_intermediates(x, indices=self.indices, norm=self.is_plain, intermediates_only=True)
        logits: Tensor = self.head(features)
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)

    def _find_stride(self, coarsest: int, in_channels: int, request: TimmEncoder) -> None:
        """Set the stride, or the only size that the encoder takes, and freeze unused parameters.

        Sizes are tried on the `meta` device: multiples of the coarsest map's stride; multiples of the encoder's image
        size, for windows that must fill a map; and that size alone.

        Raises:
            ConfigError: If none is valid.
        """
        height, width = _image_size(self.encoder, request.kwargs)
        # an encoder of one size might take another one of as many pixels
        is_alike = 6 * coarsest**2 == height * width
        trials = [(coarsest, (3 * coarsest, 4 * coarsest) if is_alike else (2 * coarsest, 3 * coarsest))]
        trials += [(height, (height, 2 * height))] if height == width else []
        trials += [(1, (height, width))]
        for self.stride, sides in trials:
            try:
                freeze_unused(self, in_channels, *sides)
            # timm's models refuse a size by various exceptions
            except Exception as error:
                reason = first_line(error)
                continue
            self.size = (height, width) if self.stride == 1 else None
            return
        raise ConfigError(f"model.net.encoder: timm's {request.name} does not run with this head: {reason}")


def _check_head(head: str, width: int | None) -> None:
    if head not in HEADS:
        raise ConfigError(f"model.net.head: there is no {head!r}{did_you_mean(head, HEADS, len(HEADS))}")
    if width is not None and head == "linear":
        raise ConfigError("model.net.width: the head linear has no width; leave it out, or take mlp")
    if width is not None and width < 1:
        raise ConfigError(f"model.net.width: must be 1 or more, got {width}")


def _image_size(encoder: nn.Module, kwargs: dict[str, Any]) -> tuple[int, int]:
    """Return height and width of the images that an encoder was built for."""
    config: Any = getattr(encoder, "pretrained_cfg", None) or {}
    size = kwargs.get("img_size") or config.get("input_size", (3, 224, 224))[-2:]
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
