"""Checks and parts of the command line before it is parsed.

Imports nothing heavy, so that a mistake is reported at once: importing torch and lightning takes seconds.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from typing import Any

import yaml

from lightseg.config.compose import chain, read, require_bounded, show
from lightseg.config.option_names import FIT_OPTIONS, suggest_option
from lightseg.errors import ConfigError
from lightseg.files.printable import printable

_PRINTING = ("help", "help_all", "print_shtab")
"""Options that print something and stop; the last one is for completion in a shell."""


def option_values(args: Sequence[str], *options: str) -> list[str]:
    """Return the values of an option in the order of the command line.

    Args:
        args: The command line.
        options: The names of the option, such as `-c` and `--config`.
    """
    return [value for name, value in _options(args) if name in options]


def option_names(args: Sequence[str]) -> list[str]:
    """Return the names of all options without dashes."""
    return [arg[2:].partition("=")[0].rstrip("+") for arg in args if arg.startswith("--")]


def add_import_path(args: Sequence[str]) -> None:
    """Let classes be imported that lie beside the recipes of a command line.

    Raises:
        ConfigError: If a recipe, or a base of one, is missing or wrong.
    """
    sys.path += [str(chain(name)[-1].parent) for name in option_values(args, "-c", "--config")]


def trainer_option(args: Sequence[str], option: str) -> Any:
    """Return the value of an option of the trainer, from the recipe, its overlays and the command line.

    Args:
        args: The command line.
        option: The name of the option, such as `devices`.

    Returns:
        The last value as YAML has it; None if there is none.

    Raises:
        ConfigError: If a file is missing or is not YAML.
    """
    value: Any = None
    for name, argument in _options(args):
        if name in ("-c", "--config"):
            for file in chain(argument):
                section = read(file).get("trainer")
                value = section.get(option, value) if isinstance(section, dict) else value
        elif name == f"--trainer.{option}":
            # a value that is not of its tag, or a number of thousands of digits, is refused when it is parsed
            with suppress(yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError):
                value = yaml.safe_load(argument)
    return value


def prints_only(args: Sequence[str]) -> bool:
    """Return whether a command prints something and stops, for programs that read it."""
    return any(re.match(r"-h$|--(.+\.)?help|--print_", arg) for arg in args)


def text_option(args: Sequence[str], option: str) -> str | None:
    """Return the value of a text option of `fit`, from the recipe, its overlays and the command line.

    Args:
        args: The command line.
        option: The name of an option outside of all classes, such as `runs_dir`.

    Returns:
        The last value; None if there is none.

    Raises:
        ConfigError: If a file is missing or is not YAML, or the value is not text.
    """
    value: str | None = None
    for name, argument in _options(args):
        if name in ("-c", "--config"):
            for file in chain(argument):
                value = read(file).get(option, value)
                if not isinstance(value, str | None):
                    raise ConfigError(f"{show(file)}: {option}: must be text, got {value!r:.80}; write it in quotes")
        elif name == f"--{option}":
            value = argument
    return value


def require_bounded_value(arg: str) -> None:
    """Check that an argument, which may be YAML, is neither nested nor multiplied by aliases beyond a recipe.

    Raises:
        ConfigError: If it is.
    """
    if {"[", "{", "&"} & set(arg):
        # an argument that is not YAML is plain text
        with suppress(yaml.YAMLError):
            require_bounded(arg.partition("=")[2] if arg.startswith("--") else arg, f"{arg[:40]} …")


def require_printable(args: Sequence[str]) -> None:
    """Check that arguments can be written into a file of text, and are the same when they are read from it.

    Raises:
        ConfigError: If one holds a control character, or bytes that are not UTF-8.
    """
    for arg in args:
        if printable(arg) != arg:
            raise ConfigError(
                f"{printable(arg)[:80]}: has a control character, or bytes that are not UTF-8, which the plan of "
                "several runs and the file of a job cannot hold; give the file another name"
            )


def _require_tag_fits(arg: str) -> None:
    """Check that a YAML tag of an argument, such as `!!bool`, fits its value, which jsonargparse does not expect.

    Raises:
        ConfigError: If it does not.
    """
    if "!!" not in arg:
        return
    try:
        yaml.safe_load(arg.partition("=")[2] if arg.startswith("--") else arg)
    except yaml.YAMLError:
        # plain text
        return
    except (LookupError, TypeError, AttributeError, ValueError):
        raise ConfigError(f"{arg[:40]}: the value does not fit its tag; leave the tag out") from None


def require_known_options(args: Sequence[str]) -> None:
    """Check that each option belongs to `fit` or to one of its groups; the part after the first dot is not checked.

    Raises:
        ConfigError: If an option is unknown.
    """
    for arg in args:
        # argparse takes a value that starts with dashes only after a =
        option = arg[2:].partition("=")[0].rstrip("+").partition(".")[0]
        require_bounded_value(arg)
        _require_tag_fits(arg)
        if arg.startswith("--") and option not in (*FIT_OPTIONS, *_PRINTING):
            raise ConfigError(f"no option '{option}'{suggest_option(option)}")


def split_options(args: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """Split a command line into the arguments of a verb, and the options that start with a prefix.

    Args:
        args: The command line.
        prefix: Start of the option names, such as `--data.`, or `-` for all options. Each takes one value.

    Returns:
        The arguments without the prefix, and the options with it, together with their values.
    """
    arguments, options = list[str](), list[str]()
    words = iter(args)
    for word in words:
        if not word.startswith(prefix):
            arguments.append(word)
        else:
            options += [word] if "=" in word else [word, *islice(words, 1)]
    return arguments, options


def _options(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each argument with its successor; `--name=value` counts as two arguments."""
    words = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    return pairwise(words)
