"""Turns jsonargparse's pages about types into a line or two: where, what, and what was probably meant."""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch.callbacks
import torch
from jsonargparse import Namespace

import lightseg.callbacks
import lightseg.data
import lightseg.loggers
import lightseg.nets
import lightseg.optim.optimizer
import lightseg.tasks
from lightseg.config.compose import LIBRARY, read, show
from lightseg.config.option_names import FIT_OPTIONS, meant
from lightseg.data.device_transforms import DeviceTransform
from lightseg.errors import ConfigError, did_you_mean

_CLASSES: dict[str, Callable[[], Iterable[str]]] = {
    "net": lambda: _subclasses(lightseg.nets.Net),
    "model": lambda: _subclasses(lightseg.tasks.Task),
    "data": lambda: _subclasses(lightseg.data.ImageDataModule),
    "schedule": lambda: _subclasses(lightseg.optim.Schedule),
    "optimizer": lambda: _subclasses(torch.optim.Optimizer),
    "device_transforms": lambda: _subclasses(DeviceTransform),
    "callbacks": lambda: [*lightseg.callbacks.__all__, *lightning.pytorch.callbacks.__all__],
    "logger": lambda: lightseg.loggers.__all__,
}
"""What can stand where a class is named, by the last word of the key."""


def explain(message: str, composed: Namespace | None, file: str | None, files: list[Path]) -> str:
    """One or two lines for a person.

    Args:
        message: What jsonargparse says.
        composed: The config as far as it was composed; tells which class an unknown option was meant for.
        file: The file that was being read, if it was a file.
        files: All files that were read; jsonargparse finds some mistakes only when it puts them together.
    """
    descriptions = (describe(message, composed or Namespace()) for describe in _DESCRIBE)
    text = next(filter(None, descriptions), " ".join(message.split())[:500])
    if file is None and not message.startswith("unrecognized"):
        quoted = re.findall(r"'(\w+)'", text)
        file = next((show(each) for each in reversed(files) for word in quoted if _states(each, word)), None)
    return f"{file}: {text}" if file else text


def _unknown_option(message: str, composed: Namespace) -> str | None:
    if found := re.match(r"unrecognized arguments: (\S+)", message):
        argument = found[1].partition("=")[0]
        if not argument.startswith("--"):
            return f"'{argument}' belongs to no option; options start with --"
        key = argument[2:].rstrip("+")
    elif found := re.search(r"Group '(.+?)' does not accept option '(.+?)'", message):
        key = f"{found[1]}.{found[2]}"
    elif found := re.search(r"Option '(.+?)' is not accepted", message):
        path = _path(message)
        key = path if path.endswith(found[1]) else ".".join(filter(None, (path, found[1])))
    else:
        return None
    section, _, option = key.replace(".init_args", "").rpartition(".")
    if section and section.partition(".")[0] not in FIT_OPTIONS:
        # the first word is wrong; the rest of the key says nothing
        section, _, option = "", "", section.partition(".")[0]
    section, option = _first_unknown(section, option, composed)
    # a class may pass all its options on but set one of them itself
    choices = [each for each in _options_of(section, composed, message) if each != option]
    owner = f"{section}: " if section else ""
    if not section:
        return f"no option '{option}'{meant(option)}"
    return f"{owner}no option '{option}'{meant(option, section) or did_you_mean(option, choices) or _listed(choices)}"


def _listed(choices: list[str]) -> str:
    return f"; there are {', '.join(choices[:12])}{', …' if len(choices) > 12 else ''}" if choices else ""


def _first_unknown(section: str, option: str, composed: Namespace) -> tuple[str, str]:
    """Return the section and the name of the first word of a key that is no option: `model` of `model.optimzer.lr`."""
    words = section.split(".") if section else []
    for count in range(1, len(words)):
        above = ".".join(words[:count])
        choices = _options_of(above, composed, "")
        if choices and words[count] not in choices:
            return above, words[count]
    return section, option


def _unknown_class(message: str, _composed: Namespace) -> str | None:
    found = re.search(r"Expected a dot import path string: (\S+)", message)
    if found and not re.search(r"Expected a <class '(int|float|bool)'>", message):
        key = _path(message)
        names = sorted(_CLASSES.get(key.rpartition(".")[2], list)())
        listed = f"\navailable: {', '.join(names)}" if 0 < len(names) <= 30 else ""
        return f"{key}: no class '{found[1]}'{did_you_mean(found[1], names)}{listed}{_blocks(key)}"
    found = re.search(r"Multiple subclasses with name (\S+)\. .*?: (.+)", message)
    if found:
        return f"{_path(message)}: several classes are called {found[1]}; name one in full: {found[2]}"
    found = re.search(
        r"Problem with given class_path '([\w.]+)':\s*(.*(?:No module named|has no attribute).*)", message
    )
    if found:
        module, _, name = found[1].rpartition(".")
        return f"{_path(message)}: {found[1]}: {found[2]}{did_you_mean(name, _public_names(module))}"
    found = re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", message)
    if found and "Option" not in message:
        return f"{_path(message)}: {found[1]} is not a {found[2]}{_what_may_stand(_path(message))}"
    return None


def require_known_sections(file: Path, config: Namespace) -> None:
    """See that no empty section of a file is an option that there is not, which jsonargparse passes over.

    Args:
        file: A file of the recipe.
        config: The config that it is a part of.

    Raises:
        ConfigError: If one is.
    """
    for key in _empty_sections(read(file), ""):
        if key not in config:
            section, _, option = key.replace(".init_args", "").rpartition(".")
            choices = _options_of(section, config, "")
            if option not in choices:
                said = meant(option, section) or did_you_mean(option, [*choices, *_BLOCK])
                raise ConfigError(f"{show(file)}: {section}: no option '{option}'{said}")


_BLOCK = ("class_path", "init_args", "dict_kwargs")


def _empty_sections(content: dict[str, Any], above: str) -> Iterator[str]:
    for name, value in content.items():
        key = f"{above}.{name}" if above else str(name)
        if isinstance(value, dict) and value:
            yield from _empty_sections(value, key)
        elif value == {} and name not in _BLOCK and above:
            yield key


def _missing(message: str, _composed: Namespace) -> str | None:
    found = re.search(r"the following arguments are required: (.+)", message)
    if not found:
        return None
    owner = _path(message)
    keys = [f"{owner}.{key}" if owner else key for key in re.split(r",\s*", found[1].strip())]
    return f"{', '.join(keys)}: not given{_blocks(keys[0])}"


def _wrong_type(message: str, composed: Namespace) -> str | None:
    expected = list(dict.fromkeys(re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", message, re.MULTILINE)))
    given = next(
        filter(
            None, (re.search(p, message, re.M) for p in (r"val='(.+?)'\)", r"Got value: (.+)$", r"Given value: (.+)$"))
        ),
        None,
    )
    if not expected or not given:
        return None
    if (misplaced := _misplaced(_path(message), composed)) is not None:
        return misplaced
    kinds = [_plain_type(kind) for kind in expected if "NoneType" not in kind and not kind.startswith(("path", "dot"))]
    if not kinds and (misplaced := _misplaced_class(_path(message), given[1].strip())) is not None:
        return misplaced
    if not kinds or "is abstract" in message:
        hint = " (--config configs/logging/wandb.yaml)" if "trainer.logger" in message else ""
        return (
            f"{_path(message)}: belongs to a class that is not known yet; name it first, by --config{hint} or by its "
            "option; in a file its options are under init_args"
        )
    wanted = " or ".join(dict.fromkeys(kinds))
    literals = re.findall(r"Literal\[(.+?)\]", " ".join(expected))
    choices = [str(choice) for literal in literals for choice in ast.literal_eval(f"[{literal}]")]
    value = given[1].strip()
    hint = did_you_mean(value, choices)
    if kinds == ["a text"] and re.fullmatch(r"True|False|None|[-+.\d e]+", value):
        hint = "; YAML reads no, yes, on, off and numbers as something else: quote it, such as 'no' or '0'"
    return f"{_path(message)}: {value} is not {wanted}{hint}"


def _misplaced(key: str, composed: Namespace) -> str | None:
    """The message about a key whose section is misspelt, or about a class that cannot stand where it was named."""
    section, _, option = key.rpartition(".")
    above, name = _first_unknown(section, option, composed)
    if above != section:
        choices = _options_of(above, composed, "")
        return f"{above}: no option '{name}'{did_you_mean(name, choices, 12)}"
    return None


_DESCRIBE = (_unknown_option, _unknown_class, _missing, _wrong_type)


def _misplaced_class(key: str, given: str) -> str | None:
    """The message about a class that exists but is none of those that a key takes."""
    found = re.search(r"class_path'?[=:] ?'([\w.]+)'", given)
    path = found[1] if found else given
    known = _CLASSES.get(key.rpartition(".")[2], list)()
    if _class(path) is None or path.rpartition(".")[2] in known:
        return None
    return f"{key}: {path} cannot stand here{_what_may_stand(key)}"


def _what_may_stand(key: str) -> str:
    """The end of a message about a class of the wrong kind."""
    word = key.rpartition(".")[2]
    names = sorted(_CLASSES.get(word, list)())
    why = " (functions of the share of the training that is done; none follows a metric)" if word == "schedule" else ""
    return f"; take {', '.join(names)}{why}" if 0 < len(names) <= 30 else ""


def _states(file: Path, option: str) -> bool:
    """Whether a file gives an option."""
    return bool(re.search(rf"(?<!\w){re.escape(option)}\s*:", file.read_text(encoding="utf-8")))


def _path(message: str) -> str:
    """The key that the message is about, as it is written on the command line: `model.net.width`."""
    keys = re.findall(r'Parser key "(.+?)"', message)
    nested = re.findall(r"^  Given value: NestedArg\(key='(.+?)'", message, re.MULTILINE)
    if nested and keys:
        return f"{keys[0]}.{nested[-1]}".replace(".init_args", "")
    # the branches of a union repeat a key
    return ".".join(dict.fromkeys(keys)).replace(".init_args", "")


def _options_of(section: str, composed: Namespace, message: str) -> list[str]:
    """What may stand under a key: the options of the class that is configured there."""
    if not section:
        return list(FIT_OPTIONS)
    if section == "trainer":
        return list(inspect.signature(lightning.Trainer.__init__).parameters)
    configured = composed.get(section.replace(".", ".init_args."))
    entries = [each for each in (configured if isinstance(configured, list) else [configured]) if each]
    stated = re.findall(r"'class_path': '([\w.]+)'", message) or [each.get("class_path", "") for each in entries]
    # what no file states is the task's default
    default = inspect.signature(lightseg.tasks.Task).parameters.get(section.rpartition(".")[2])
    kinds = [_class(str(class_path)) for class_path in stated] or [default.default if default else None]
    return list(dict.fromkeys(name for kind in kinds if inspect.isclass(kind) for name in _parameters(kind)))


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(_module(module), name, None)


def _parameters(kind: type) -> dict[str, Any]:
    """Names of the constructor's parameters, those that `**kwargs` pass on included."""
    names: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base) and base.__module__.partition(".")[0] not in ("builtins", "abc"):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            names |= parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    facts = ("self", "kwargs", "args", "num_classes", "in_channels")
    return {name: None for name in names if name not in facts}


def _blocks(key: str) -> str:
    """The ready-made blocks for `data` and `net`."""
    word = key.rpartition(".")[2]
    folder = f"configs/{'net' if word == 'model' else word}"
    names = sorted(path.stem for path in (LIBRARY / folder).glob("*.yaml"))
    return f"\navailable in {folder}: {', '.join(names)}" if names else ""


def _plain_type(text: str) -> str:
    if literals := re.findall(r"Literal\[(.+?)\]", text):
        return f"one of {literals[0]}"
    return {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "a text",
        "list": "a list",
    }.get(name := re.sub(r"<class '(.+)'>", r"\1", text).rpartition(".")[2], name)


def _module(name: str) -> Any:
    import sys

    return sys.modules.get(name)


def _public_names(module: str) -> list[str]:
    return [name for name in dir(_module(module)) if not name.startswith("_")] if _module(module) else []


def _subclasses(kind: type) -> list[str]:
    """Names of all public, concrete subclasses that have been imported."""
    below: list[type] = list(kind.__subclasses__())
    for each in below:
        below += each.__subclasses__()
    return [each.__name__ for each in below if not inspect.isabstract(each) and not re.match("_|Lazy", each.__name__)]
