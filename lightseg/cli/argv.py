"""The command line before it is parsed, and the files that it names.

Imports nothing heavy, so that a slip is reported at once: importing torch and lightning takes seconds.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from typing import Any

import yaml

from lightseg.config.compose import chain, read, require_bounded, show
from lightseg.config.option_names import FIT_OPTIONS, meant
from lightseg.errors import ConfigError

_PRINTING = ("help", "help_all", "print_shtab")
"""Further options, which print something and stop; the last is jsonargparse's, for completion in a shell."""


def values(args: Sequence[str], *options: str) -> list[str]:
    """What is given for an option, under any of its names, in the order of the command line."""
    return [value for name, value in _options(args) if name in options]


def stated(args: Sequence[str], option: str) -> Any:
    """The last word of the recipe, its overlays and the command line on an option outside of all classes.

    Args:
        args: The command line.
        option: Its name, such as `runs_dir`.

    Raises:
        ConfigError: If a file is missing or is no YAML, or it holds anything but a text.
    """
    value = None
    for name, given in _options(args):
        if name in ("-c", "--config"):
            for file in chain(given):
                value = read(file).get(option, value)
                if not isinstance(value, str | None):
                    raise ConfigError(f"{show(file)}: {option}: must be text, got {value!r:.80}; write it in quotes")
        elif name == f"--{option}":
            value = given
    return value


def require_bounded_value(arg: str) -> None:
    """See that a word of the command line, which may be YAML, is not nested or multiplied without end.

    Raises:
        ConfigError: If it is.
    """
    if {"[", "{", "&"} & set(arg):
        # what is no YAML is a plain text
        with suppress(yaml.YAMLError):
            require_bounded(arg.partition("=")[2] if arg.startswith("--") else arg, f"{arg[:40]} …")


def require_known_options(args: Sequence[str]) -> None:
    """See that each option belongs to `fit` or to one of its groups; what is behind the first point is not looked at.

    Raises:
        ConfigError: If one does not.
    """
    for arg in args:
        # a value that begins like an option is written behind a =, as argparse has it
        option = arg[2:].partition("=")[0].rstrip("+").partition(".")[0]
        require_bounded_value(arg)
        if arg.startswith("--") and option not in (*FIT_OPTIONS, *_PRINTING):
            raise ConfigError(f"no option '{option}'{meant(option)}")


def positionals(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line of options that take one value each in two: the words that belong to none, and the rest.

    Args:
        args: The command line.
    """
    positional, rest = list[str](), list[str]()
    words = iter(args)
    for word in words:
        if not word.startswith("-"):
            positional.append(word)
        else:
            rest += [word] if "=" in word else [word, *islice(words, 1)]
    return positional, rest


def options_of(args: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """A command line in two: what does not begin with a prefix, and the options that do, with their values.

    Args:
        args: The command line.
        prefix: Such as `--data.`.
    """
    others, options = list[str](), list[str]()
    words = iter(args)
    for word in words:
        if not word.startswith(prefix):
            others.append(word)
        else:
            options += [word] if "=" in word else [word, *islice(words, 1)]
    return others, options


def _options(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word with the one behind it, `--name=value` being two."""
    words = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    return pairwise(words)
