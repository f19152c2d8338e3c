"""Checkpoints that carry their recipe: written, found, checked and loaded."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.checkpoint.io import AtomicCheckpointIO
    from lightseg.checkpoint.loading import load, read, reload

__all__ = ["AtomicCheckpointIO", "load", "read", "reload"]

_HOMES = {
    "AtomicCheckpointIO": "lightseg.checkpoint.io",
    "load": "lightseg.checkpoint.loading",
    "read": "lightseg.checkpoint.loading",
    "reload": "lightseg.checkpoint.loading",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: some modules of this package do without torch, which takes seconds."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
