"""Classes that a file may name: those of lightseg and of albumentations; others run only where they are trusted.

A checkpoint, an export or a run folder may come from anyone, and whoever builds what it names runs the code that it
names. So it is looked at first, and nothing is imported by a path that stands in it.
"""

import importlib.util
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType, NoneType
from typing import Any

import albumentations

import lightseg.data
import lightseg.data.device_transforms
import lightseg.nets
import lightseg.tasks
from lightseg.errors import UserError
from lightseg.files.printable import printable_line

_HOMES: tuple[ModuleType, ...] = (
    *(lightseg.tasks, lightseg.nets, lightseg.data, lightseg.data.device_transforms),
    albumentations,
)
_KINDS = (
    *(lightseg.tasks.Task, lightseg.nets.Net, lightseg.data.ImageDataModule),
    lightseg.data.device_transforms.DeviceTransform,
    *(albumentations.BasicTransform, albumentations.BaseCompose),
)
_REFUSED = ("Lambda",)
"""Classes whose options are functions."""

_FUNCTIONS = (type, Callable)
"""Types for which a parser imports what a text names."""

_PLAIN = (str, int, float, bool, NoneType, list, tuple, dict, set)
_WORDS = re.compile(r"[\w .+/-]*")
"""Text that no parser takes for anything but itself."""


def require_known(spec: Any, key: str, file: object) -> None:
    """See that a class that a file names, and every class in its options, is one that may be built; import none.

    Args:
        spec: `{class_path: …, init_args: …}` as it stands in the file.
        key: Where it stands, for the message.
        file: The file.

    Raises:
        UserError: If it names another class, has options that the class does not know, or would build something.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("class_path"), str):
        raise UserError(f"{file}: {key}: names no class by its class_path; the file is damaged")
    kind = known_class(spec["class_path"])
    if kind is None:
        raise UserError(
            f"{file}: {key}: {printable_line(spec['class_path'])} is not a class of lightseg, and may run anything; "
            "if you trust who made the file, load it with trust=True, or --trust on the command line"
        )
    if spec.get("dict_kwargs"):
        raise UserError(f"{file}: {key}: {kind.__name__} takes no dict_kwargs")
    hints, options = _hints(kind), spec.get("init_args") or {}
    if not isinstance(options, dict):
        raise UserError(f"{file}: {key}.init_args: is no mapping of options; the file is damaged")
    for name, value in options.items():
        if name not in hints:
            raise UserError(f"{file}: {key}: {kind.__name__} has no option '{printable_line(str(name))}'")
        _require_harmless(value, hints[name], f"{key}.{name}", file)


def known_class(path: str) -> type | None:
    """Return the class that a path names, if it may be built without trust; looked up, never imported."""
    _, _, name = path.rpartition(".")
    for home in _HOMES:
        kind = vars(home).get(name)
        if inspect.isclass(kind) and issubclass(kind, _KINDS) and path in _paths(kind, home):
            is_known = kind.__module__.partition(".")[0] in ("lightseg", "albumentations")
            return kind if is_known and name not in _REFUSED else None
    return None


def foreign_classes(content: Any) -> list[str]:
    """Return the classes that a recipe names and lightseg, torch and Lightning do not have, each once."""
    class_paths = dict.fromkeys(each for each in _class_paths(content) if known_class(each) is None)
    return [each for each in class_paths if each.partition(".")[0] not in ("lightseg", "lightning", "torch")]


def announce(classes: list[str], file: object) -> None:
    """Say, in a line, which foreign classes are about to run, and where they are."""
    for each in classes:
        print(f"lightseg: trusted: {file} runs {printable_line(each)} ({_origin(each)})", file=sys.stderr, flush=True)


def _paths(kind: type, home: ModuleType) -> tuple[str, str]:
    return f"{home.__name__}.{kind.__name__}", f"{kind.__module__}.{kind.__name__}"


def _class_paths(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("class_path"), str):
            yield content["class_path"]
        for each in content.values():
            yield from _class_paths(each)
    elif isinstance(content, list):
        for each in content:
            yield from _class_paths(each)


def _origin(path: str) -> str:
    """Return the file of the package that a class is in; to look further would run it."""
    try:
        spec = importlib.util.find_spec(path.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    return printable_line(str(spec.origin or spec.submodule_search_locations)) if spec else "not found"


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Types of the options of a class, those included that its constructor passes on."""
    hints: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base) or base.__module__.partition(".")[0] not in ("lightseg", "albumentations"):
            continue
        # of what wraps a constructor, as albumentations does, the signature alone tells the types
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        keyword_parameters = [
            each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        ]
        hints = {**{each.name: _hint(each, base) for each in keyword_parameters if each.name != "self"}, **hints}
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return hints


def _hint(parameter: inspect.Parameter, owner: type) -> Any:
    """Return the type of a parameter; where it is not known, a function, which no text may stand for."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Callable
    scope = vars(sys.modules[owner.__module__])
    try:
        return eval(annotation, dict(scope)) if isinstance(annotation, str) else annotation
    except (NameError, TypeError):
        return Callable


def _require_harmless(value: Any, hint: Any, key: str, file: object) -> None:
    """See that an option builds nothing but known classes, whatever a parser makes of it."""
    parts = list(_parts(hint))
    if value is not None and any(_is_built(part) for part in parts):
        for index, each in enumerate(value) if isinstance(value, list) else [(None, value)]:
            require_known(each, key if index is None else f"{key}.{index}", file)
        return
    takes_any, takes_functions = Any in parts or object in parts, any(part in _FUNCTIONS for part in parts)
    for text in _texts(value):
        if text == "class_path" or takes_functions or (takes_any and not _WORDS.fullmatch(text)):
            raise UserError(
                f"{file}: {key}: '{printable_line(text)[:80]}' may build something else; "
                "if you trust who made the file, load it with trust=True, or --trust on the command line"
            )


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the types that a hint is made of; what no rule below knows may be a function."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        yield str
    elif origin in _FUNCTIONS:
        yield Callable
    elif arguments := typing.get_args(hint):
        for argument in arguments:
            yield from _parts(argument)
    elif isinstance(hint, typing.ForwardRef):
        # of a type that is not made yet, which is built
        yield albumentations.BaseCompose
    else:
        yield hint if inspect.isclass(hint) or hint is Ellipsis else Callable


def _is_built(part: Any) -> bool:
    return inspect.isclass(part) and part not in (*_PLAIN, *_FUNCTIONS, Any, object)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield str(name)
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
