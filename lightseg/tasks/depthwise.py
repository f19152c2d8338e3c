"""Depthwise convolutions in float32 where CPUs have no fast gradients of them in bfloat16."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_SIDE = 5
"""Kernel of the convolutions; those of 7×7 and more are as fast in bfloat16."""


def float32_depthwise(net: nn.Module) -> AbstractContextManager[Any]:
    """Compute depthwise convolutions with slow gradients in float32, within this context, in mixed precision on a CPU.

    oneDNN has no optimized gradients in bfloat16 of depthwise convolutions of 5×5, or 3×3 with a stride: they take up
    to 30 times as long as in float32, most of a step of an EfficientNet.

    Args:
        net: The net; without such a convolution, on other devices or in another precision, nothing is changed, nor with
            gradient checkpointing, which computes in the backward pass, outside of the context.
    """
    is_mixed = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    applies = is_mixed and not getattr(net, "grad_checkpointing", False)
    convolutions = (module for module in net.modules() if isinstance(module, nn.Conv2d)) if applies else ()
    has_slow = any(_is_slow(layer.weight, layer.stride, layer.groups) for layer in convolutions)
    return _Float32Depthwise() if has_slow else nullcontext()


class _Float32Depthwise(TorchFunctionMode):
    """Context in which slow convolutions are computed in float32, with a result in bfloat16."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # input, weight, bias, stride, padding, dilation, groups
        if func is torch.conv2d and len(args) == 7 and _is_slow(args[1], args[3], args[6]):
            with torch.autocast("cpu", enabled=False):
                exact: list[Any] = [value.float() if isinstance(value, Tensor) else value for value in args]
                return func(*exact).to(torch.bfloat16)
        return func(*args, **(kwargs or {}))


def _is_slow(weight: Tensor, stride: Sequence[int], groups: int) -> bool:
    """Return whether a convolution has one channel per group, and a kernel of 5, or a smaller one with a stride."""
    kernel = max(weight.shape[2:])
    return weight.shape[1] == 1 < groups and (kernel == _SIDE or (kernel < _SIDE and max(stride) > 1))
