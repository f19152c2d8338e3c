"""The command line before it is parsed, and the files that it names.

Imports nothing heavy, so that a slip is reported at once: importing torch and lightning takes seconds.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import yaml

from lightseg import hub
from lightseg.compose import chain, read, require_bounded, show
from lightseg.errors import ConfigError, UserError
from lightseg.file_names import BEST, LAST, WEIGHTS
from lightseg.option_names import FIT_OPTIONS, meant

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


def model_file(path: str | Path) -> Path:
    """The file with the weights that an argument names: itself, the best of a run folder, an export's, or the Hub's.

    Args:
        path: A checkpoint or exported weights; a folder with either; or `hf://USER/REPO`, which is fetched.

    Raises:
        UserError: If there is none; the message has the run that may have been meant.
    """
    if str(path).startswith(hub.SCHEME):
        path = hub.fetch(str(path))
    place = Path(path)
    inside = [place / "checkpoints" / BEST, place / "checkpoints" / LAST, place / WEIGHTS]
    candidates = inside if place.is_dir() else [place]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not place.is_dir():
        raise UserError(f"{path}: no checkpoint found{_nearby(place)}")
    run_folder(str(path))
    raise UserError(f"{path}: no checkpoint found (looked for {' nor '.join(map(str, candidates))})")


def trained_run(path: str) -> tuple[Path, Path | None]:
    """The checkpoint that is meant by itself or by its run folder, and the run folder, if it is in one.

    Raises:
        UserError: If it is neither.
    """
    if Path(path).is_file():
        above = Path(path).resolve().parent.parent
        return Path(path).resolve(), above if (above / "config.yaml").is_file() else None
    run = run_folder(path).resolve()
    return model_file(run).resolve(), run


def follow_imports(folder: Path) -> None:
    """Find classes of one's own where they were when a run was made, as `env.json` of its folder says.

    Whoever calls this trusts the folder: it decides which modules are found.

    Raises:
        UserError: If that is damaged.
    """
    if not (folder / "env.json").is_file():
        return
    from lightseg.records import read_record

    sys.path += [path for path in read_record(folder / "env.json").get("import_path", []) if path not in sys.path]


def _nearby(path: Path) -> str:
    """The run folder that may have been meant: the newest one below, or the one that a file is in."""
    below = sorted(config.parent for config in path.glob("*/config.yaml"))
    above = [folder for folder in path.parents if (folder / "config.yaml").is_file()]
    near = [*below[-1:], *above[:1]]
    return f"; did you mean {near[0]}?" if near else "" if path.exists() else "; there is no such file or folder"


def _options(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word with the one behind it, `--name=value` being two."""
    words = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    return pairwise(words)
