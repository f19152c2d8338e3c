"""Classifiers of torchvision, such as AlexNet, VGG, GoogLeNet or ResNet."""

from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from lightseg.errors import ConfigError, did_you_mean
from lightseg.nets.base import Net, Normalization, first_line
from lightseg.nets.fetching import fetching
from lightseg.nets.weights import (
    IMAGENET,
    INCEPTION,
    adapt_input,
    adapt_normalization,
    is_file,
    load_encoder_weights,
)

_CLASSES = 1000
"""Number of outputs of torchvision's classifiers, by which the last layer is found."""
_SAVE = (
    "import torchvision, safetensors.torch as s; "
    "s.save_file(torchvision.models.get_model('{name}', weights='{weights}').state_dict(), 'encoder.safetensors')"
)


class TorchvisionNet(Net):
    """Classifier of torchvision with a new last layer.

    Source: torchvision's model zoo, whose documentation names each model's paper; the default is Krizhevsky, "One weird
    trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997. Changed: the last layer is a new
    linear layer; GoogLeNet and Inception lose their auxiliary classifiers (after the weights are loaded), so that
    training returns logits only; SqueezeNet classifies after its global pooling, not before.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the input; the first convolution's weights are adapted to them.
        encoder: Name from `torchvision.models.list_models(module=torchvision.models)`, such as `vgg11_bn`.
        encoder_weights: None for random weights; `imagenet` for torchvision's best; a name such as `IMAGENET1K_V1`; or
            a `.safetensors`, `.pt` or `.pth` file with torchvision's names, or an export of lightseg. Only a name is
            downloaded.
        kwargs: Further arguments for the model, such as `{dropout: 0.2}`.

    Raises:
        ConfigError: If an encoder, weights or an argument are unknown, or weights do not fit or cannot be downloaded.
    """

    encoder: nn.Module

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        encoder: str = "alexnet",
        encoder_weights: str | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        model = _build(encoder, encoder_weights, dict(kwargs or {}))
        last = _last_layer(model)
        if encoder_weights is not None:
            mean, std = _mean_std(encoder, encoder_weights)
            if is_file(encoder_weights):
                classifiers = (f"{last}.", "aux1.", "aux2.", "AuxLogits.")
                owner = f"torchvision's {encoder}"
                exported = load_encoder_weights(model, encoder_weights, owner=owner, classifiers=classifiers)
                mean, std = exported or (mean, std)
            self.normalization = adapt_normalization(mean, std, in_channels)
        _drop_auxiliary(model)
        features = _drop_last(model, last)
        if in_channels != 3:
            _adapt_first_conv(model, in_channels)
        self.encoder = model
        self.head = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: `(N, in_channels, H, W)`, float; at least 63×63 for AlexNet, 75×75 for Inception.

        Returns:
            Logits `(N, num_classes)`.
        """
        logits: Tensor = self.head(self.encoder(x))
        return logits


def _build(name: str, encoder_weights: str | None, kwargs: dict[str, Any]) -> nn.Module:
    """Build a complete model, including the classifier, so that its weights fit.

    Raises:
        ConfigError: If the name, the weights or an argument are unknown.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise ConfigError(f"torchvision has no classifier {name!r}{did_you_mean(name, names, otherwise=12)}")
    weights = None
    if encoder_weights is not None and not is_file(encoder_weights):
        weights = _parse_weights(name, encoder_weights)
    elif name in ("googlenet", "inception_v3"):
        # torchvision warns if this is not set
        kwargs = {"init_weights": True, **kwargs}
    description = f"the weights {weights} of torchvision's {name}"
    try:
        with nullcontext() if weights is None else fetching(description, _SAVE.format(name=name, weights=weights)):
            model: nn.Module = models.get_model(name, weights=weights, **kwargs)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"torchvision cannot build {name} with {kwargs}: {first_line(error)}") from error
    return model


def _parse_weights(name: str, encoder_weights: str) -> str:
    """Return torchvision's name of weights."""
    from torchvision import models

    members: list[str] = list(models.get_model_weights(name).__members__)
    weights: str = "DEFAULT" if encoder_weights == "imagenet" else encoder_weights
    if weights not in members:
        raise ConfigError(
            f"torchvision has no weights {weights!r} for {name}{did_you_mean(weights, ['imagenet', *members], 12)}"
        )
    return weights


def _mean_std(name: str, encoder_weights: str) -> Normalization:
    """Return the mean and standard deviation that weights expect."""
    from torchvision import models

    if name in ("googlenet", "inception_v3"):
        # the weights come from TensorFlow; torchvision converts its input with `transform_input`, which is off here
        return INCEPTION
    weights = models.get_model_weights(name)
    member = "DEFAULT" if is_file(encoder_weights) else _parse_weights(name, encoder_weights)
    if member not in weights.__members__:
        return IMAGENET
    preset = weights[member].transforms()
    return tuple(preset.mean), tuple(preset.std)


def _last_layer(model: nn.Module) -> str:
    names: list[str] = [
        name
        for name, layer in model.named_modules()
        if (isinstance(layer, nn.Linear) and layer.out_features == _CLASSES)
        or (isinstance(layer, nn.Conv2d) and layer.out_channels == _CLASSES)
    ]
    return names[-1]


def _drop_last(model: nn.Module, last: str) -> int:
    """Replace the last layer by the identity, and return the number of its input features."""
    layer: Any = model.get_submodule(last)
    model.set_submodule(last, nn.Identity())
    return int(layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels)


def _drop_auxiliary(model: Any) -> None:
    for name in ("aux1", "aux2", "AuxLogits"):
        if hasattr(model, name):
            setattr(model, name, None)
    if hasattr(model, "aux_logits"):
        model.aux_logits = False
    if hasattr(model, "transform_input"):
        model.transform_input = False


def _adapt_first_conv(model: nn.Module, in_channels: int) -> None:
    conv = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.in_channels == 3)
    conv.in_channels = in_channels
    conv.weight = nn.Parameter(adapt_input(conv.weight.detach(), in_channels))
