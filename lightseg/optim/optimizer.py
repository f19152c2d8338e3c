"""Optimizer over parameter groups, fused where the device has such a kernel."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from lightseg.errors import ConfigError
from lightseg.optim.param_groups import LayerDecay, param_groups

_FUSED = (SGD, Adam, AdamW)
"""Optimizers of torch with a fused update on CUDA devices and CPUs."""


def configure_optimizer(
    make_optimizer: Callable[[list[dict[str, Any]]], Optimizer],
    net: nn.Module,
    encoder: nn.Module | None,
    encoder_lr_factor: float,
    norm_bias_lr_factor: float = 1.0,
    layer_decay: LayerDecay | None = None,
) -> Optimizer:
    """Build the optimizer over `param_groups`, with the learning rate and weight decay of `make_optimizer`.

    Args:
        make_optimizer: Constructor that takes parameter groups, such as `partial(torch.optim.AdamW, lr=1e-3)`.
        net: See `param_groups`.
        encoder: See `param_groups`.
        encoder_lr_factor: See `param_groups`.
        norm_bias_lr_factor: See `param_groups`.
        layer_decay: See `param_groups`.

    Raises:
        ConfigError: See `param_groups`; or if the optimizer rejects the groups or its arguments.
    """
    groups = param_groups(net, encoder, encoder_lr_factor, norm_bias_lr_factor, layer_decay)
    try:
        optimizer = make_optimizer(groups)
    except ValueError as error:
        names = ", ".join(group["name"] for group in groups)
        raise ConfigError(
            f"the optimizer does not accept its arguments or the parameter groups ({names}): {error}; "
            "correct the arguments, or use one that takes groups, such as torch.optim.AdamW"
        ) from error
    scale_groups(optimizer)
    _fuse(optimizer)
    return optimizer


def scale_groups(optimizer: Optimizer) -> None:
    """Multiply learning rate and weight decay of each group by its factors."""
    # after the construction, which sets the base learning rate and a weight decay, if there is one
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group["lr_factor"]
        if "weight_decay" in group:
            group["weight_decay"] = group["weight_decay"] * group["decay"]


def _fuse(optimizer: Optimizer) -> None:
    """Select the fused update if the device has one and the user has not chosen another.

    It is set in the groups instead of the constructor, whose `fused` also lets the optimizer unscale the gradients of a
    gradient scaler: they could then not be clipped, nor a step be skipped by removing them.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if type(optimizer) not in _FUSED:
        return
    optimizer.register_load_state_dict_pre_hook(_keep_local_fused)
    devices = {parameter.device.type for parameter in parameters}
    if devices not in ({"cuda"}, {"cpu"}) or not all(parameter.is_floating_point() for parameter in parameters):
        return
    is_sharded = any(isinstance(parameter, DTensor) for parameter in parameters)
    if is_sharded and (isinstance(optimizer, SGD) or devices == {"cpu"}):
        # torch fuses the update of sharded parameters for Adam on GPUs only
        return
    for group in optimizer.param_groups:
        if group["fused"] is None and group["foreach"] is None and not group["differentiable"]:
            group["fused"] = True


def _keep_local_fused(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Keep this machine's choice of the fused update when a checkpoint of another machine is loaded."""
    saved = zip(state["param_groups"], optimizer.param_groups, strict=True)
    return {**state, "param_groups": [{**group, "fused": current["fused"]} for group, current in saved]}
