"""The memory of a net, known before it is built."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lightseg.memory import require_memory

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
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            net = kind(**without_download)
    except NotImplementedError:
        # it looks at its weights
        return
    size = sum(parameter.numel() * parameter.element_size() for parameter in net.parameters())
    sizes = ", ".join(f"{name}={value}" for name, value in options.items() if name not in _FACTS)
    require_memory(_COPIES * size, "model.net", f"training {kind.__name__}({sizes})")


_FACTS = ("num_classes", "in_channels")
