"""The command line before it is parsed; imports nothing heavy, so that a slip is reported at once."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from lightseg.compose import chain, read
from lightseg.errors import UserError
from lightseg.files import read_json


def values(args: Sequence[str], *options: str) -> list[str]:
    """What is given for an option, under any of its names, in the order of the command line."""
    return [value for name, value in _options(args) if name in options]


def stated(args: Sequence[str], option: str) -> Any:
    """The last word of the recipe, its overlays and the command line on an option outside of all classes.

    Args:
        args: The command line.
        option: Its name, such as `runs_dir`.

    Raises:
        ConfigError: If a file is missing or is no YAML.
    """
    value = None
    for name, given in _options(args):
        if name in ("-c", "--config"):
            for file in chain(given):
                value = read(file).get(option, value)
        elif name == f"--{option}":
            value = given
    return value


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


def run_folder(path: str, option: str = "") -> Path:
    """The run folder that an argument names.

    Args:
        path: The argument.
        option: The option that it belongs to, for the message.

    Raises:
        UserError: If it is none; the message has the one that may have been meant.
    """
    folder = Path(path)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{option} {path}: no run folder, which has a config.yaml{_nearby(folder)}".lstrip())
    return folder


def follow_imports(folder: Path) -> None:
    """Find classes of one's own where they were when a run was made, as `env.json` of its folder says.

    Raises:
        UserError: If that is damaged.
    """
    sys.path += [path for path in read_json(folder / "env.json").get("import_path", []) if path not in sys.path]


def _nearby(path: Path) -> str:
    """The run folder that may have been meant: the newest one below, or the one that a file is in."""
    below = sorted(config.parent for config in path.glob("*/config.yaml"))
    above = [folder for folder in path.parents if (folder / "config.yaml").is_file()]
    near = [*below[-1:], *above[:1]]
    return f"; did you mean {near[0]}?" if near else "" if path.exists() else "; there is no such folder"


def _options(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word with the one behind it, `--name=value` being two."""
    words = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    return pairwise(words)
