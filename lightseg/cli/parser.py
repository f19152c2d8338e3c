"""Parser of recipes: files with bases and overlays, short messages, and errors of the classes that it builds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, Namespace, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from lightseg.cli.messages import explain
from lightseg.config.class_errors import describe_failed_class, find_key
from lightseg.config.compose import chain, show
from lightseg.errors import ConfigError
from lightseg.nets.memory import require_room


class ConfigAction(ActionConfigFile):
    """Action of `--config FILE`, which applies the bases of a file, then the file."""

    @staticmethod
    def apply_config(parser: Parser, cfg: Namespace, dest: str, value: str) -> None:
        """Apply the bases of a recipe, then the recipe.

        Args:
            parser: The parser.
            cfg: The config so far, which is changed.
            dest: Name of the option.
            value: The file.
        """
        files = chain(value)
        parser.recipe = parser.recipe or files[-1].stem
        parser.files += files
        for file in files:
            before = cfg.get("trainer.callbacks")
            # jsonargparse changes into the file's folder while it reads
            parser.reading = show(file)
            ActionConfigFile.apply_config(parser, cfg, dest, str(file))
            # in a saved config, the bases would be applied again, from another folder
            cfg["base"] = None
            parser.composed = cfg
            warn_of_dropped_callbacks(before, cfg.get("trainer.callbacks"), show(file))
        parser.reading = None


class Parser(LightningArgumentParser):
    """Parser whose messages are a line or two: the file, the mistake, and a suggestion."""

    reading: str | None = None
    """File that is being applied."""
    composed: Namespace | None = None
    """Config of the files so far."""
    recipe: str = ""
    """Name of the first `--config`, the recipe; later ones are overlays."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        # a value of any type, such as a probability of a transform, may not name a function to call
        set_parsing_settings(instantiate_subclass_spec_in_any=False)
        self.files: list[Path] = []
        self.built: list[tuple[str, Any]] = []
        """Objects of the config, each with its key."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message of argparse as a `ConfigError`."""
        if isinstance(ex, ConfigError):
            raise ex
        if not self.exit_on_error:
            # a nested parser for one class; its message becomes a part of that of the outer parser
            super().error(message, ex)
        raise ConfigError(explain(message, self.composed, self.reading, self.files)) from None

    def build(self, config: Namespace) -> Namespace:
        """Build the objects of a config.

        Raises:
            ConfigError: If the constructor of a library class refuses its arguments; errors of a user's class are not
                changed.
        """
        is_building = True
        self.built = []

        def build_one(class_type: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            try:
                require_room(class_type, kwargs)
                instance = class_type(*args, **kwargs)
                if is_building:
                    self.built.append((find_key(config, class_type, kwargs), instance))
                return instance
            except Exception as error:
                if not is_building:
                    # an optimizer, which is made later
                    raise
                key = find_key(config, class_type, kwargs)
                raise _Escape(describe_failed_class(error, class_type, kwargs, key) or error) from None

        try:
            built: Namespace = self.instantiate(config, instantiators=[(build_one, object, True)])
        except _Escape as escape:
            raise escape.error from None
        finally:
            is_building = False
        return built


class _Escape(BaseException):
    """Exception that passes through jsonargparse, which would turn others into a page about types."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def warn_of_dropped_callbacks(before: Any, after: Any, source: str) -> None:
    """Warn of callbacks that a file or the command line has replaced, since it replaces the complete list."""
    remaining = [_class_name(block) for block in as_list(after)]
    dropped = [name for name in map(_class_name, as_list(before)) if name not in remaining]
    if dropped:
        print(
            f"{source}: trainer.callbacks replaces {', '.join(dropped)} of the files before; write `callbacks+:` in a "
            "file, or --trainer.callbacks+=NAME, to add to them",
            file=sys.stderr,
            flush=True,
        )


def _class_name(block: Any) -> str:
    return str(block.get("class_path") if isinstance(block, dict | Namespace) else block).rpartition(".")[2]


def as_list(value: Any) -> list[Any]:
    """Return a list unchanged, another value in a list, and a false value as an empty list."""
    return value if isinstance(value, list) else [value] if value else []
