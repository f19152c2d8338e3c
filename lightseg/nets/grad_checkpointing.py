"""Gradient checkpointing of encoders of timm: less memory, for a second forward pass in the backward pass."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lightseg.errors import ConfigError

_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def checkpoint_gradients(net: nn.Module, encoder: nn.Module, name: str) -> None:
    """Let an encoder recompute the activations within its blocks instead of keeping them; gradients are the same.

    Args:
        net: The net around the encoder.
        encoder: A model of timm, or a module around one.
        name: Its name, for the message.

    Raises:
        ConfigError: If timm has no gradient checkpointing of it.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174.
    """
    model: Any = encoder
    while not hasattr(model, "set_grad_checkpointing") and isinstance(getattr(model, "model", None), nn.Module):
        model = model.model
    try:
        model.set_grad_checkpointing(True)
    # timm asserts that a model has it
    except (AttributeError, AssertionError) as error:
        raise ConfigError(
            f"model.net.grad_checkpointing: {name} has none in timm; leave it out, or choose another encoder"
        ) from error
    net.register_forward_pre_hook(_update_statistics)
    net.register_forward_hook(_keep_statistics)


def _update_statistics(net: nn.Module, _inputs: Any) -> None:
    """Let batch normalization update its statistics in the forward pass."""
    for module in _batch_norms(net):
        module.momentum = getattr(module, "momentum_of_training", module.momentum)


def _keep_statistics(net: nn.Module, _inputs: Any, _output: Any) -> None:
    """Let batch normalization keep its statistics in the second forward pass, which updates them by 0 times the batch.

    Its counter of batches, which nothing reads, counts both passes.
    """
    if net.training and torch.is_grad_enabled():
        for module in _batch_norms(net):
            module.momentum_of_training, module.momentum = module.momentum, 0.0


def _batch_norms(net: nn.Module) -> Iterator[Any]:
    # those of now, since a strategy may replace them by synchronized ones
    return (module for module in net.modules() if isinstance(module, _BATCH_NORM))
