"""Training from start to end."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.training.run import fit

__all__ = ["fit"]

_HOMES = {"fit": "lightseg.training.run"}


def __getattr__(name: str) -> Any:
    """Import a name on first use: some modules of this package do without torch, which takes seconds to import."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
