"""Memory requirements of nets, estimated before they are built."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lightseg.hardware.memory import require_memory

_COPIES = 4
"""Number of tensors per parameter: weights, gradients, and two moments of the optimizer."""

_DATA_OPTIONS = ("num_classes", "in_channels")
"""Options that follow from the data."""


def require_room(kind: Any, options: Mapping[str, Any]) -> None:
    """Check that a net fits this machine's memory, by building it on the `meta` device first.

    Args:
        kind: The class to be built; only nets of lightseg with a number among their options are checked.
        options: Arguments of its constructor.

    Raises:
        ConfigError: If the net does not fit.
    """
    numbers = [value for name, value in options.items() if isinstance(value, int) and name not in _DATA_OPTIONS]
    is_net = isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__.startswith("lightseg.nets.")
    if not is_net or not numbers:
        return
    without_download = {name: None if name == "encoder_weights" else value for name, value in options.items()}
    try:
        with torch.random.fork_rng(devices=[]), without_memory():
            net = kind(**without_download)
    except Exception as error:
        if needs_values(error):
            return
        raise
    size = sum(parameter.numel() * parameter.element_size() for parameter in net.parameters())
    sizes = ", ".join(f"{name}={value}" for name, value in options.items() if name not in _DATA_OPTIONS)
    require_memory(_COPIES * size, "model.net", f"training {kind.__name__}({sizes})")


@contextmanager
def without_memory() -> Iterator[None]:
    """Build a net without allocating its weights, within this context."""
    with torch.device("meta"), _LinspaceOnCpu():
        yield


def needs_values(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, is that a net computes with the values of `meta` tensors."""
    while error is not None:
        if isinstance(error, NotImplementedError) or "meta tensor" in str(error):
            return True
        error = error.__cause__
    return False


class _LinspaceOnCpu(TorchFunctionMode):
    """Context in which `linspace` has values, since some nets compute the drop rates of their layers by it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return func(*args, **({"device": "cpu", **kwargs} if func is torch.linspace else kwargs))
