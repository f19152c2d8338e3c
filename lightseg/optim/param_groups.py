"""Parameter groups that share a learning rate and a weight decay."""

import math
from typing import Any

from torch import nn

from lightseg.errors import require


def param_groups(
    net: nn.Module, encoder: nn.Module | None, encoder_lr_factor: float, norm_bias_lr_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Sort the trainable parameters into groups: encoder or rest, with or without weight decay.

    Norms and biases, and everything else of at most one dimension, take no weight decay. Where the biases of norms have
    a learning rate of their own they do, and lose in a step what a weight loses: left alone, fast ones would run away.

    Args:
        net: all that is trained.
        encoder: the part of `net` whose learning rate has a factor, or None.
        encoder_lr_factor: that factor, > 0; 1 where there is no encoder.
        norm_bias_lr_factor: one for the biases of normalisation layers, > 0; inside the encoder on top of the other.

    Returns:
        The groups that are not empty, sorted by name, each with `params`, `name`, `lr_factor` and `decay`, which
        are factors of the learning rate and of the weight decay. Every trainable parameter is in exactly one.

    Raises:
        ConfigError: a factor is impossible or has nothing to act on, or nothing is trainable.

    Source: fast biases are Page 2018, "How to train your ResNet"; with the decay of the weights, Jordan 2024,
    arXiv:2404.00498, section 3.4.
    """
    require(
        math.isfinite(encoder_lr_factor) and encoder_lr_factor > 0,
        f"encoder_lr_factor must be above 0, not {encoder_lr_factor}; to keep the encoder as it is, freeze it",
    )
    require(
        encoder is not None or encoder_lr_factor == 1,
        f"encoder_lr_factor is {encoder_lr_factor}, but {type(net).__name__} has no encoder; remove it",
    )
    fast = _norm_biases(net, norm_bias_lr_factor)
    parameters = set(net.parameters())
    inside = set(encoder.parameters()) if encoder is not None else set()
    require(inside <= parameters, "the encoder has parameters that are not in the net")
    groups: dict[str, dict[str, Any]] = {}
    for parameter in net.parameters():
        if parameter.requires_grad:
            part, decay = ("encoder" if parameter in inside else "rest"), parameter.ndim > 1
            name = part if decay else f"{part}_no_decay"
            factor = encoder_lr_factor if part == "encoder" else 1.0
            fresh: dict[str, Any] = {"params": [], "name": name, "lr_factor": factor, "decay": decay}
            if parameter in fast:
                name = f"{part}_norm_bias"
                fresh |= {
                    "name": name,
                    "lr_factor": factor * norm_bias_lr_factor,
                    "decay": 1 / norm_bias_lr_factor,
                }
            groups.setdefault(name, fresh)["params"].append(parameter)
    require(bool(groups), f"{type(net).__name__} has no trainable parameter; freeze less")
    return [groups[name] for name in sorted(groups)]


def _norm_biases(net: nn.Module, lr_factor: float) -> set[nn.Parameter]:
    """Return the biases of normalisation layers that have a factor; none for a factor of 1."""
    require(
        math.isfinite(lr_factor) and lr_factor > 0,
        f"norm_bias_lr_factor must be above 0, not {lr_factor}",
    )
    kinds = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    biases = [norm.bias for norm in net.modules() if isinstance(norm, kinds)] if lr_factor != 1 else []
    norm_biases = {bias for bias in biases if bias is not None}
    require(
        bool(norm_biases) or lr_factor == 1,
        f"norm_bias_lr_factor is {lr_factor}, but {type(net).__name__} has no normalisation with a bias; remove it",
    )
    return norm_biases


def check_encoder_options(net: nn.Module, lr_factor: float, freeze: float) -> None:
    """See that options for the encoder have one to act on.

    Args:
        net: The net; what pretrained weights fill is its `encoder`.
        lr_factor: `model.encoder_lr_factor`.
        freeze: `model.freeze_encoder`.

    Raises:
        ConfigError: If there is none, or the share is out of range.
    """
    require(0 <= freeze <= 1, f"model.freeze_encoder: {freeze} is not a share of the training, 0 to 1")
    option = "freeze_encoder" if freeze else "encoder_lr_factor"
    require(
        getattr(net, "encoder", None) is not None or (not freeze and lr_factor == 1),
        f"model.{option}: {type(net).__name__} has no encoder; leave the option out",
    )
