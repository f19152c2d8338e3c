"""Command line: options, recipes, messages."""

from typing import TYPE_CHECKING

from lightseg.config.lazy import lazy_getattr

if TYPE_CHECKING:
    from lightseg.cli.lightning_cli import LightsegCLI
    from lightseg.cli.parser import Parser

__all__ = ["LightsegCLI", "Parser"]

__getattr__ = lazy_getattr(__name__, {"LightsegCLI": "lightning_cli", "Parser": "parser"})
