"""Command line: options, recipes, messages."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightseg.cli.lightning_cli import LightsegCLI
    from lightseg.cli.parser import Parser

__all__ = ["LightsegCLI", "Parser"]

_HOMES = {"LightsegCLI": "lightseg.cli.lightning_cli", "Parser": "lightseg.cli.parser"}


def __getattr__(name: str) -> Any:
    """Import a name on first use: some modules of this package do without torch, which takes seconds to import."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
