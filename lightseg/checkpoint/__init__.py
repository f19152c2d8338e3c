"""Self-contained checkpoints: writing, lookup, validation and loading."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.checkpoint.io import AtomicCheckpointIO
    from lightseg.checkpoint.loading import load, read, reload

__all__ = ["AtomicCheckpointIO", "load", "read", "reload"]

_MODULES = {
    "AtomicCheckpointIO": "lightseg.checkpoint.io",
    "load": "lightseg.checkpoint.loading",
    "read": "lightseg.checkpoint.loading",
    "reload": "lightseg.checkpoint.loading",
}


def __getattr__(name: str) -> Any:
    """Import a public name at first access, since torch takes seconds and some modules of this package need none."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
