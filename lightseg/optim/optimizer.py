"""Optimizer over parameter groups, fused where the device has such a kernel."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from lightseg.errors import ConfigError
from lightseg.optim.param_groups import param_groups

_FUSED = (SGD, Adam, AdamW)
"""The optimisers of torch that have a fused update on CUDA devices and CPUs."""


def configure_optimizer(
    make_optimizer: Callable[[list[dict[str, Any]]], Optimizer],
    net: nn.Module,
    encoder: nn.Module | None,
    encoder_lr_factor: float,
    norm_bias_lr_factor: float = 1.0,
) -> Optimizer:
    """Build the optimiser over `param_groups`; learning rate and weight decay are those `make_optimizer` sets.

    Args:
        make_optimizer: takes parameter groups, such as `partial(torch.optim.AdamW, lr=1e-3)`.
        net: see `param_groups`.
        encoder: see `param_groups`.
        encoder_lr_factor: see `param_groups`.
        norm_bias_lr_factor: see `param_groups`.

    Raises:
        ConfigError: see `param_groups`; or the optimiser refuses the groups or its own arguments.
    """
    groups = param_groups(net, encoder, encoder_lr_factor, norm_bias_lr_factor)
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
    """Multiply learning rate and weight decay of each group by the factors that `param_groups` has given it."""
    # afterwards: before, the base learning rate is not known, nor whether this optimiser has a weight decay
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group["lr_factor"]
        if "weight_decay" in group:
            group["weight_decay"] = group["weight_decay"] * group["decay"]


def _fuse(optimizer: Optimizer) -> None:
    """Let the whole update be one kernel where the device has it and the user has not said how it is to be done.

    The groups are told and not the constructor, whose `fused` also makes the optimiser take over what a gradient scaler
    does: then neither can the gradients be clipped in 16 bits, nor a step be skipped by taking them away.
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
        # of sharded parameters, torch fuses Adam alone, and on GPUs
        return
    for group in optimizer.param_groups:
        if group["fused"] is None and group["foreach"] is None and not group["differentiable"]:
            group["fused"] = True


def _keep_local_fused(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Keep the way of the update that is fused on this machine, whatever a checkpoint of another one says."""
    saved = zip(state["param_groups"], optimizer.param_groups, strict=True)
    return {**state, "param_groups": [{**group, "fused": current["fused"]} for group, current in saved]}
