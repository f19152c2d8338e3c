"""Errors of library classes that a recipe names, in one line: key, value and reason.

An error in a class of the user keeps its traceback, which leads to the line to fix; one through a library does not.
"""

import inspect
import io
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from lightseg.errors import ConfigError, LightsegError

_LIBRARIES = tuple(
    {str(Path(__file__).parent.parent), *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))}
)
_LONGEST = 400

Objects = Sequence[tuple[str, Any]]
"""Objects that were built from a recipe, each with the key that names it, such as `trainer.callbacks`."""


def describe_failed_class(error: Exception, kind: Any, options: Mapping[str, Any], key: str) -> ConfigError | None:
    """Return the error of a constructor as one line; None if code of the user is involved.

    Args:
        error: The exception that the constructor raised.
        kind: A class or a function.
        options: The arguments that it was called with.
        key: The option that names it.
    """
    if isinstance(error, LightsegError) or passes_user_code(error.__traceback__):
        return None
    nulls = _needless_nulls(kind, options)
    if nulls and isinstance(error, TypeError | AttributeError):
        return ConfigError(f"{key}.{nulls[0]}: null is not a value of it; leave it out, or give one")
    changed = {name: value for name, value in options.items() if _is_informative(kind, name, value)}
    arguments = ", ".join(f"{name}={value}" for name, value in changed.items())[:120]
    return ConfigError(f"{key}: {getattr(kind, '__name__', kind)}({arguments}): {reason(error)}")


@contextmanager
def explained(objects: Objects) -> Iterator[None]:
    """Turn an exception into the line of `describe_failure`.

    Args:
        objects: The objects of the recipe.

    Raises:
        ConfigError: If there is such a line.
    """
    try:
        yield
    except Exception as error:
        message = describe_failure(error, objects)
        if message is None:
            raise
        raise ConfigError(message) from error


def describe_failure(error: Exception, objects: Objects) -> str | None:
    """Return the error of an object of the recipe, or of Lightning, about its options as one line.

    Args:
        error: An exception with its traceback.
        objects: The objects of the recipe.

    Returns:
        None if another object raised it, or if code of the user is involved.
    """
    if isinstance(error, LightsegError | OSError) or passes_user_code(error.__traceback__):
        return None
    owner = _find_owner(error.__traceback__, objects)
    if owner is None and isinstance(error, MisconfigurationException):
        owner = "trainer"
    return f"{owner}: {reason(error)}" if owner else None


def describe_exit(error: SystemExit) -> str | None:
    """Return the message about code of the user that ended the program; None if other code did."""
    if not passes_user_code(error.__traceback__):
        return None
    frames = [frame for frame in _frames(error.__traceback__) if is_user_code(frame.f_code.co_filename)]
    module = frames[-1].f_globals.get("__name__")
    return f"{module} called sys.exit({error.code}) while it was imported or run; remove the call, or guard it"


@contextmanager
def without_usage() -> Iterator[None]:
    """Delay what is written to stderr, and drop it if code of the user ends the program.

    A module that parses the command line when it is imported prints its own usage first.
    """
    buffer = io.StringIO()
    try:
        with redirect_stderr(buffer):
            yield
    except SystemExit as error:
        if describe_exit(error):
            buffer = io.StringIO()
        raise
    finally:
        sys.stderr.write(buffer.getvalue())


def reason(error: Exception) -> str:
    """Return an exception's message on one line, with the command that installs a package that is missing."""
    text = re.sub(r"\s*For further information visit \S+", "", str(error))
    # pydantic writes a count, then the option and its mistake on two lines
    text = re.sub(r"^\d+ validation errors? for \w+\n(\w+)\n", r"\1: ", text)
    if isinstance(error, ImportError):
        packages = re.findall(r"pip install (?:-U )?'?([\w-]+)", text) or [error.name]
        if packages[-1]:
            return f"needs the package {packages[-1]}, which is not installed; pip install {packages[-1]}"
    # torch adds its stack in C++
    text = text.partition("Exception raised from ")[0]
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def is_user_code(file: str) -> bool:
    """Return whether a source file belongs neither to lightseg nor to Python or an installed package."""
    return not file.startswith(("<", *_LIBRARIES))


def is_user_class(kind: type) -> bool:
    """Return whether a class is written by the user, as `is_user_code` has it."""
    return is_user_code(getattr(sys.modules.get(kind.__module__), "__file__", None) or "<built-in>")


def find_key(config: Namespace, kind: Any, options: Mapping[str, Any]) -> str:
    """Return the key under which a config names a class, as on the command line.

    Args:
        config: The config, before anything is built.
        kind: The class.
        options: The arguments that it is called with, which tell two objects of a class apart.
    """
    name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"
    blocks = [
        (key, block)
        for key, block in _blocks(config, "")
        if block["class_path"].rpartition(".")[2] == name.rpartition(".")[2]
    ]
    for key, block in blocks:
        values = dict(_items(block.get("init_args") or {}))
        if all(options.get(option) == value for option, value in values.items() if _is_plain(value)):
            return key
    return blocks[0][0] if blocks else name


def _blocks(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _blocks(item, key)
    elif isinstance(value, Namespace | dict):
        if isinstance(value.get("class_path"), str):
            yield key, value
        for name, item in _items(value):
            yield from _blocks(item, key if name == "init_args" else f"{key}.{name}".lstrip("."))


def _items(block: Namespace | Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list((vars(block) if isinstance(block, Namespace) else block).items())


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | None)


def _is_informative(kind: Any, name: str, value: Any) -> bool:
    """Return whether a value is plain data and differs from the default."""
    return (_is_plain(value) or isinstance(value, list | tuple)) and value != _default(kind, name)


def _needless_nulls(kind: Any, options: Mapping[str, Any]) -> list[str]:
    return [name for name, value in options.items() if value is None and _default(kind, name) is not None]


def _default(kind: Any, name: str) -> Any:
    for base in getattr(kind, "__mro__", (kind,)):
        try:
            parameter = inspect.signature(base).parameters.get(name)
        except (TypeError, ValueError):
            continue
        if parameter is not None:
            return None if parameter.default is parameter.empty else parameter.default
    return None


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def passes_user_code(trace: TracebackType | None) -> bool:
    """Return whether a traceback passes through code of the user below the frames of lightseg."""
    files = [frame.f_code.co_filename for frame in _frames(trace)]
    first = next((index for index, file in enumerate(files) if file.startswith(_LIBRARIES)), 0)
    return any(is_user_code(file) and file != sys.argv[0] for file in files[first:])


def _find_owner(trace: TracebackType | None, objects: Objects) -> str | None:
    """Return the key and the class of the innermost object of the recipe whose method was running."""
    # tasks, nets and data are in most tracebacks without being at fault
    owners = {id(item): key for key, item in objects if not isinstance(item, nn.Module | LightningDataModule)}
    for frame in reversed(list(_frames(trace))):
        owner = frame.f_locals.get("self")
        if id(owner) in owners:
            return f"{owners[id(owner)]}: {type(owner).__name__}"
    return None
