"""Parameters of an encoder that the output of the net does not depend on."""

import torch
from torch import Tensor, nn


def freeze_unused(net: nn.Module, in_channels: int, height: int, width: int) -> None:
    """Freeze the parameters that the output does not depend on.

    Distributed training stops at a parameter without a gradient. The net runs once on PyTorch's `meta` device, so this
    costs neither memory nor arithmetic.

    Args:
        net: The net, changed in place; `(1, in_channels, height, width)` must be a valid input.
        in_channels: Channels of the input.
        height: Height of the input.
        width: Width of the input.
    """
    x = torch.empty(1, in_channels, height, width, device="meta")
    try:
        unused = _find_unused(net, x)
    # an operation that `meta` tensors do not support
    except NotImplementedError:
        return
    for name in unused:
        net.get_parameter(name).requires_grad_(False)


def _find_unused(net: nn.Module, x: Tensor) -> list[str]:
    """Return the names of the parameters that the output of an input `(1, C, H, W)` does not depend on."""
    training = net.training
    parameters = {name: torch.empty_like(p, device="meta").requires_grad_() for name, p in net.named_parameters()}
    buffers = {name: buffer.to("meta") for name, buffer in net.named_buffers()}
    # in eval mode, since batch normalization cannot train on one image
    try:
        output = torch.func.functional_call(net.eval(), {**parameters, **buffers}, (x,))
    finally:
        net.train(training)
    gradients = torch.autograd.grad(output.sum(), list(parameters.values()), allow_unused=True)
    return [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]
