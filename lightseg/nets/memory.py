"""Memory of a net, known before it is built."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lightseg.hardware.memory import require_memory

_COPIES = 4
"""Weights, gradients, and two moments of the optimizer."""


def require_room(kind: Any, options: Mapping[str, Any]) -> None:
    """Refuse a net of lightseg whose sizes are beyond this machine's memory, by building it without memory first.

    Args:
        kind: The class that is about to be built; only nets of lightseg with a number among their options are tried.
        options: The constructor's arguments.

    Raises:
        ConfigError: If the net does not fit.
    """
    numbers = [value for name, value in options.items() if isinstance(value, int) and name not in _FACTS]
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
    sizes = ", ".join(f"{name}={value}" for name, value in options.items() if name not in _FACTS)
    require_memory(_COPIES * size, "model.net", f"training {kind.__name__}({sizes})")


@contextmanager
def without_memory() -> Iterator[None]:
    """Build a net in here without memory for its weights."""
    with torch.device("meta"), _Rates():
        yield


def needs_values(error: BaseException | None) -> bool:
    """Return whether a net cannot be built without memory because it computes with values, whoever wraps the error."""
    while error is not None:
        if isinstance(error, NotImplementedError) or "meta tensor" in str(error):
            return True
        error = error.__cause__
    return False


class _Rates(TorchFunctionMode):
    """Lets `linspace` keep its few values, of which some nets make the drop rates of their layers."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return func(*args, **({"device": "cpu", **kwargs} if func is torch.linspace else kwargs))


_FACTS = ("num_classes", "in_channels")
