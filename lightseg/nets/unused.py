"""Parameters that an encoder has but the net around it never reaches."""

import torch
from torch import Tensor, nn


def freeze_unused(net: nn.Module, in_channels: int, height: int, width: int) -> None:
    """Ask no gradient of the parameters that the output does not depend on.

    Distributed training stops at a parameter that gets no gradient. The net runs once without data (on PyTorch's `meta`
    device), so this costs neither memory nor arithmetic.

    Args:
        net: Changed in place; `(1, in_channels, height, width)` must be an input it takes.
        in_channels: Channels of the input.
        height: Rows of the input.
        width: Columns of the input.
    """
    x = torch.empty(1, in_channels, height, width, device="meta")
    try:
        unused = _unused(net, x)
    # an operation without a rule for tensors that have no data: then nothing is known
    except NotImplementedError:
        return
    for name in unused:
        net.get_parameter(name).requires_grad_(False)


def _unused(net: nn.Module, x: Tensor) -> list[str]:
    training = net.training
    parameters = {name: torch.empty_like(p, device="meta").requires_grad_() for name, p in net.named_parameters()}
    buffers = {name: buffer.to("meta") for name, buffer in net.named_buffers()}
    # in eval mode one image is enough for a normalisation over the batch
    try:
        output = torch.func.functional_call(net.eval(), {**parameters, **buffers}, (x,))
    finally:
        net.train(training)
    gradients = torch.autograd.grad(output.sum(), list(parameters.values()), allow_unused=True)
    return [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]
