"""Classifiers with an encoder of timm."""

from typing import Any

from torch import Tensor, nn

from lightseg.errors import ConfigError
from lightseg.nets.base import Net
from lightseg.nets.grad_checkpointing import checkpoint_gradients
from lightseg.nets.timm_encoder import TimmEncoder


class TimmNet(Net):
    """Classifier with any encoder of timm and a linear layer.

    Source: Wightman, "PyTorch Image Models", 2019, doi:10.5281/zenodo.4414861; each encoder's paper is in timm's
    documentation. Changed: the classifier is a new linear layer. With `small_images`, the stem is the CIFAR one of He
    et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, section 4.2, in front of the
    ImageNet stages, as in kuangliu/pytorch-cifar.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the input; the first convolution's pretrained weights are adapted to them.
        encoder: Name of a timm model, preferably with its tag (`resnet18.a1_in1k`), since default tags may change.
        encoder_weights: None for random weights; `imagenet` for the weights of the name's tag; a tag, such as
            `a1_in1k`; or a `.safetensors`, `.pt` or `.pth` file with timm's names, or an export of lightseg. Only a
            name is downloaded.
        small_images: For images of 64 pixels or less, ResNets only: replace the stem, which would reduce a 32×32 image
            to 1×1, by a randomly initialized 3×3 convolution of stride 1 without pooling.
        kwargs: Further arguments for `timm.create_model`, such as `{drop_path_rate: 0.1}` or `{img_size: 64}`.
        grad_checkpointing: Recompute the activations of the encoder in the backward pass instead of keeping them: less
            memory, a slower step, the same gradients.

    Raises:
        ConfigError: If an encoder, tag or argument is unknown, weights do not fit or cannot be downloaded,
            `small_images` is used with an encoder that is not a plain ResNet, or timm has no gradient checkpointing of
            it.
    """

    encoder: nn.Module

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "resnet18.a1_in1k",
        encoder_weights: str | None = None,
        small_images: bool = False,
        kwargs: dict[str, Any] | None = None,
        grad_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        request = TimmEncoder.request(encoder, encoder_weights, in_channels, kwargs)
        self.encoder = request.build(in_channels, num_classes=0)
        self.normalization = request.normalization
        if small_images:
            _replace_stem(self.encoder, encoder)
        model: Any = self.encoder
        self.head = nn.Linear(getattr(model, "head_hidden_size", None) or model.num_features, num_classes)
        self.grad_checkpointing = grad_checkpointing
        if grad_checkpointing:
            checkpoint_gradients(self, self.encoder, request.name)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: `(N, in_channels, H, W)`, float.

        Returns:
            Logits `(N, num_classes)`.
        """
        logits: Tensor = self.head(self.encoder(x))
        return logits


def _replace_stem(model: nn.Module, name: str) -> None:
    """Replace the stem of a ResNet by that for small images."""
    from timm.models.resnet import ResNet

    if not isinstance(model, ResNet) or not isinstance(model.conv1, nn.Conv2d):
        raise ConfigError(
            f"model.net.small_images: small_images is for ResNets with one convolution as stem, such as resnet18; "
            f"{name} is none"
        )
    stem = nn.Conv2d(model.conv1.in_channels, model.conv1.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.set_submodule("conv1", stem)
    model.set_submodule("maxpool", nn.Identity())
