"""Allow-list of the classes that a file may name: those of lightseg and albumentations; others need `trust`.

A checkpoint, an export or a run folder may come from anyone, and building a class that it names runs that class's code.
Its class paths and options are therefore checked first, and nothing is imported by a path from the file.
"""

import importlib.util
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
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

_MODULES: tuple[ModuleType, ...] = (
    *(lightseg.tasks, lightseg.nets, lightseg.data, lightseg.data.device_transforms),
    albumentations,
)
_BASE_CLASSES = (
    *(lightseg.tasks.Task, lightseg.nets.Net, lightseg.data.ImageDataModule),
    lightseg.data.device_transforms.DeviceTransform,
    *(albumentations.BasicTransform, albumentations.BaseCompose),
)
_PACKAGES = ("lightseg", "albumentations")
_REFUSED = ("Lambda",)
"""Classes whose options are functions."""

_EVAL_TRANSFORMS = (
    *("Resize", "LongestMaxSize", "SmallestMaxSize", "CenterCrop", "PadIfNeeded"),
    *("AutoContrast", "CLAHE", "Equalize", "InvertImg", "Posterize", "RandomBrightnessContrast", "RandomGamma"),
    *("Solarize", "ToGray", "ToRGB", "ToSepia"),
)
"""Transforms whose time and memory depend on the size of the image alone, which the schema limits."""

_FUNCTION_TYPES = (type, Callable)
"""Types for which the parser imports the object that a string names."""

_PLAIN_TYPES = (str, int, float, bool, NoneType, list, tuple, dict, set)
_HARMLESS_TEXT = re.compile(r"[\w .+/-]*")
"""Strings that the parser cannot turn into another object."""


def require_known(spec: Any, key: str, file: object) -> None:
    """Check, without importing, that a class that a file names and all classes in its options may be built.

    Args:
        spec: `{class_path: …, init_args: …}` as the file has it.
        key: Its key, for the message.
        file: The file, for the message.

    Raises:
        UserError: If it names another class, has options that the class does not have, or would build other objects.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("class_path"), str):
        raise UserError(f"{file}: {key}: names no class by its class_path; the file is damaged")
    target = known_class(spec["class_path"])
    if target is None:
        raise UserError(
            f"{file}: {key}: {printable_line(spec['class_path'])} is not a class of lightseg, and may run anything; "
            "if you trust who made the file, load it with trust=True, or --trust on the command line"
        )
    if spec.get("dict_kwargs"):
        raise UserError(f"{file}: {key}: {target.__name__} takes no dict_kwargs")
    hints, options = _hints(target), spec.get("init_args") or {}
    if not isinstance(options, dict):
        raise UserError(f"{file}: {key}.init_args: is no mapping of options; the file is damaged")
    for name, value in options.items():
        if name not in hints:
            raise UserError(f"{file}: {key}: {target.__name__} has no option '{printable_line(str(name))}'")
        _require_harmless(value, hints[name], f"{key}.{name}", file)


def require_known_losses(spec: Any, file: object) -> None:
    """Check that a file names no loss by an import path, whose module would be imported.

    Args:
        spec: `model.loss` as the file has it.
        file: The file, for the message.

    Raises:
        UserError: If it does.
    """
    if names := foreign_losses(spec):
        raise UserError(
            f"{file}: model.loss: {printable_line(names[0])} is not a loss of lightseg, and may run anything; "
            "if you trust who made the file, load it with trust=True, or --trust on the command line"
        )


def foreign_losses(spec: Any) -> list[str]:
    """Return what `model.loss` names by an import path, or by a text that the parser might turn into one."""
    names = list(spec) if isinstance(spec, dict) else [spec or ""]
    return [str(name) for name in names if not re.fullmatch(r"\w*", str(name))]


def require_known_transforms(data: Mapping[str, Any], file: object) -> None:
    """Check that the eval transforms of a data block are known classes that no option can make slow.

    Args:
        data: The data block, as the file has it.
        file: The file, for the message.

    Raises:
        UserError: If one is not.
    """
    for index, transform in enumerate((data.get("init_args") or {}).get("eval_transforms") or []):
        key = f"data.eval_transforms.{index}"
        require_known(transform, key, file)
        name = transform["class_path"].rpartition(".")[2]
        if name not in _EVAL_TRANSFORMS:
            raise UserError(
                f"{file}: {key}: {name} may take any time and memory (these cannot: {', '.join(_EVAL_TRANSFORMS)}); "
                "if you trust who made the file, load it with trust=True, or --trust on the command line"
            )


def known_class(path: str) -> type | None:
    """Return the class that a path names if it may be built without trust, else None; nothing is imported."""
    _, _, name = path.rpartition(".")
    for module in _MODULES:
        candidate = vars(module).get(name)
        if inspect.isclass(candidate) and issubclass(candidate, _BASE_CLASSES) and path in _paths(candidate, module):
            is_allowed = candidate.__module__.partition(".")[0] in _PACKAGES and name not in _REFUSED
            return candidate if is_allowed else None
    return None


def foreign_classes(content: Any) -> list[str]:
    """Return the paths of the custom classes that a recipe names, without those of torch and Lightning."""
    paths = dict.fromkeys(path for path in _class_paths(content) if known_class(path) is None)
    return [path for path in paths if path.partition(".")[0] not in ("lightseg", "lightning", "torch")]


def announce(classes: list[str], file: object) -> None:
    """Print a line for each custom class that is about to run, with its source file."""
    for path in classes:
        print(f"lightseg: trusted: {file} runs {printable_line(path)} ({_origin(path)})", file=sys.stderr, flush=True)


def _paths(target: type, module: ModuleType) -> tuple[str, str]:
    return f"{module.__name__}.{target.__name__}", f"{target.__module__}.{target.__name__}"


def _class_paths(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(content.get("class_path"), str):
            yield content["class_path"]
        for value in content.values():
            yield from _class_paths(value)
    elif isinstance(content, list):
        for value in content:
            yield from _class_paths(value)


def _origin(path: str) -> str:
    """Return the file of the package that a class is in; finding its module would run the package."""
    try:
        spec = importlib.util.find_spec(path.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    return printable_line(str(spec.origin or spec.submodule_search_locations)) if spec else "not found"


@cache
def _hints(target: type) -> dict[str, Any]:
    """Return the types of the options of a class, including those that its constructor passes to its bases."""
    hints: dict[str, Any] = {}
    for base in target.__mro__:
        if "__init__" not in vars(base) or base.__module__.partition(".")[0] not in _PACKAGES:
            continue
        # albumentations wraps constructors, so that only the signature has the types
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        options = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
        hints = {**{option.name: _hint(option, base) for option in options}, **hints}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return hints


def _hint(parameter: inspect.Parameter, owner: type) -> Any:
    """Return the type of a parameter; `Callable`, for which no string is accepted, if it is unknown."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Callable
    scope = vars(sys.modules[owner.__module__])
    try:
        return eval(annotation, dict(scope)) if isinstance(annotation, str) else annotation
    except (NameError, TypeError):
        return Callable


def _require_harmless(value: Any, hint: Any, key: str, file: object) -> None:
    """Check that an option builds nothing but known classes, however the parser interprets it."""
    parts = list(_parts(hint))
    if value is not None and any(_is_built(part) for part in parts):
        for index, spec in enumerate(value) if isinstance(value, list) else [(None, value)]:
            require_known(spec, key if index is None else f"{key}.{index}", file)
        return
    takes_any, takes_functions = Any in parts or object in parts, any(part in _FUNCTION_TYPES for part in parts)
    for text in _texts(value):
        if text == "class_path" or takes_functions or (takes_any and not _HARMLESS_TEXT.fullmatch(text)):
            raise UserError(
                f"{file}: {key}: '{printable_line(text)[:80]}' may build something else; "
                "if you trust who made the file, load it with trust=True, or --trust on the command line"
            )


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the types that a hint consists of; `Callable` for those that no rule below covers."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        yield str
    elif origin in _FUNCTION_TYPES:
        yield Callable
    elif arguments := typing.get_args(hint):
        for argument in arguments:
            yield from _parts(argument)
    elif isinstance(hint, typing.ForwardRef):
        # a forward reference is to a class of albumentations, which is built
        yield albumentations.BaseCompose
    else:
        yield hint if inspect.isclass(hint) or hint is Ellipsis else Callable


def _is_built(part: Any) -> bool:
    return inspect.isclass(part) and part not in (*_PLAIN_TYPES, *_FUNCTION_TYPES, Any, object)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
