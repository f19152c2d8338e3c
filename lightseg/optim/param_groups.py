"""Parameter groups that share a learning rate and a weight decay."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from lightseg.errors import require

_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.GroupNorm, nn.LayerNorm),
)


class LayerDecay(NamedTuple):
    """Learning rate that is smaller in each layer of an encoder the closer it is to the image.

    Attributes:
        rate: Learning rate of a layer relative to that of the layer above, in (0, 1]; the net above the encoder has 1.
        depths: Depth of each parameter of the encoder, 0 for the stem, by its name in the net.

    Source: Clark et al. 2020, arXiv:2003.10555, section 3.4; for images, Bao et al. 2021, arXiv:2106.08254.
    """

    rate: float
    depths: Mapping[str, int]

    @property
    def layers(self) -> int:
        """Number of layers of the encoder."""
        return max(self.depths.values()) + 1

    def factor(self, depth: int) -> float:
        """Return the factor of the learning rate of a layer."""
        return float(self.rate ** (self.layers - depth))

    def __str__(self) -> str:
        """Return the option and its effect in a few words."""
        return f"layer_decay {self.rate:g} over {self.layers} layers (lr of the stem x {self.factor(0):.2g})"


def param_groups(
    net: nn.Module,
    encoder: nn.Module | None,
    encoder_lr_factor: float,
    norm_bias_lr_factor: float = 1.0,
    layer_decay: LayerDecay | None = None,
) -> list[dict[str, Any]]:
    """Sort the trainable parameters into groups: encoder (or its layers) or rest, with or without weight decay.

    Parameters of at most one dimension (norms and biases) have no weight decay, with one exception: the biases of
    normalization layers if they have another learning rate, since fast biases without decay diverge. Their decay is
    divided by the factor of their learning rate, so that a step shrinks them as much as it shrinks a weight.

    Args:
        net: The trained net.
        encoder: The part of `net` whose learning rate has a factor, or None.
        encoder_lr_factor: Factor of the encoder's learning rate, > 0; 1 without an encoder.
        norm_bias_lr_factor: Factor for the biases of normalization layers, > 0; multiplied with the encoder's factor
            inside the encoder.
        layer_decay: Further factor of each layer of the encoder; None if its layers have one rate.

    Returns:
        The groups that are not empty, sorted by name, each with `params`, `name`, `lr_factor` and `decay`; the latter
        two are factors of the learning rate and of the weight decay. Each trainable parameter is in exactly one.

    Raises:
        ConfigError: If a factor is out of range or applies to no parameter, or if no parameter is trainable.

    Source: fast biases are Page 2018, "How to train your ResNet"; with the decay of the weights, Jordan 2024,
    arXiv:2404.00498, section 3.4.
    """
    encoder_parameters = _encoder_parameters(net, encoder, encoder_lr_factor, layer_decay)
    norm_biases = _norm_biases(net, norm_bias_lr_factor)
    groups: dict[str, dict[str, Any]] = {}
    for parameter_name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        part, factor = ("encoder", encoder_lr_factor) if parameter in encoder_parameters else ("rest", 1.0)
        if layer_decay is not None and part == "encoder":
            depth = layer_decay.depths[parameter_name]
            part, factor = f"encoder_layer{depth:02}", factor * layer_decay.factor(depth)
        decay: float = parameter.ndim > 1
        name = part if decay else f"{part}_no_decay"
        if parameter in norm_biases:
            name, factor, decay = f"{part}_norm_bias", factor * norm_bias_lr_factor, 1 / norm_bias_lr_factor
        group = groups.setdefault(name, {"params": [], "name": name, "lr_factor": factor, "decay": decay})
        group["params"].append(parameter)
    require(bool(groups), f"{type(net).__name__} has no trainable parameter; freeze less")
    return [groups[name] for name in sorted(groups)]


def _encoder_parameters(
    net: nn.Module, encoder: nn.Module | None, lr_factor: float, layer_decay: LayerDecay | None
) -> set[nn.Parameter]:
    """Return the parameters of the encoder; none without one."""
    require(
        math.isfinite(lr_factor) and lr_factor > 0,
        f"encoder_lr_factor must be above 0, not {lr_factor}; to keep the encoder as it is, freeze it",
    )
    require(
        encoder is not None or lr_factor == 1,
        f"encoder_lr_factor is {lr_factor}, but {type(net).__name__} has no encoder; remove it",
    )
    parameters = set(encoder.parameters()) if encoder is not None else set()
    require(parameters <= set(net.parameters()), "the encoder has parameters that are not in the net")
    is_frozen = not any(parameter.requires_grad for parameter in parameters)
    require(
        not is_frozen or (layer_decay is None and lr_factor == 1),
        f"model.{'encoder_lr_factor' if layer_decay is None else 'layer_decay'}: changes nothing, since the whole "
        "encoder is frozen; leave it out, or freeze less",
    )
    return parameters


def _norm_biases(net: nn.Module, lr_factor: float) -> set[nn.Parameter]:
    """Return the biases of the normalization layers; none for a factor of 1."""
    require(
        math.isfinite(lr_factor) and lr_factor > 0,
        f"norm_bias_lr_factor must be above 0, not {lr_factor}",
    )
    biases = [norm.bias for norm in net.modules() if isinstance(norm, _NORMS)] if lr_factor != 1 else []
    norm_biases = {bias for bias in biases if bias is not None and bias.requires_grad}
    require(
        bool(norm_biases) or lr_factor == 1,
        f"norm_bias_lr_factor is {lr_factor}, but {type(net).__name__} has no normalization whose bias is trained; "
        "remove it",
    )
    return norm_biases


def check_encoder_options(net: nn.Module, lr_factor: float, freeze: float) -> None:
    """Check that options for the encoder are in range, and that the net has an encoder.

    Args:
        net: The net.
        lr_factor: `model.encoder_lr_factor`.
        freeze: `model.freeze_encoder`.

    Raises:
        ConfigError: If not.
    """
    require(0 <= freeze <= 1, f"model.freeze_encoder: {freeze} is not a share of the training, 0 to 1")
    option = "freeze_encoder" if freeze else "encoder_lr_factor"
    require(
        getattr(net, "encoder", None) is not None or (not freeze and lr_factor == 1),
        f"model.{option}: {type(net).__name__} has no encoder; leave the option out",
    )
