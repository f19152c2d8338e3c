"""Messages of jsonargparse in a line or two: file, key, mistake, suggestion."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lightseg.cli.choices import (
    SCHEDULERS,
    class_names,
    find_class,
    list_blocks,
    options_of,
    public_names,
    required_options,
)
from lightseg.config.compose import read, show
from lightseg.config.option_names import FIT_OPTIONS, suggest_option
from lightseg.errors import ConfigError, did_you_mean
from lightseg.files.printable import join_names


def explain(message: str, composed: Namespace | None, file: str | None, files: list[Path]) -> str:
    """Return a message of jsonargparse in one or two lines.

    Args:
        message: The message of jsonargparse.
        composed: The config so far, which has the class of an unknown option.
        file: The file that was being read; None for the command line.
        files: All files that were read; jsonargparse finds some mistakes only after it has merged them.
    """
    descriptions = (describe(message, composed or Namespace()) for describe in _DESCRIBE)
    text = next(filter(None, descriptions), " ".join(message.split())[:500])
    if file is None and not message.startswith("unrecognized"):
        quoted = re.findall(r"'(\w+)'", text)
        file = next((show(path) for path in reversed(files) for word in quoted if _has_option(path, word)), None)
    return f"{file}: {text}" if file else text


def _unknown_option(message: str, composed: Namespace) -> str | None:
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        argument = match[1].partition("=")[0]
        if not argument.startswith("--"):
            return f"'{argument}' belongs to no option; options start with --"
        key = argument[2:].rstrip("+")
    elif match := re.search(r"Group '(.+?)' does not accept option '(.+?)'", message):
        key = f"{match[1]}.{match[2]}"
    elif match := re.search(r"Option '(.+?)' is not accepted", message):
        path = _path(message)
        key = path if path.endswith(match[1]) else ".".join(filter(None, (path, match[1])))
    else:
        return None
    section, _, option = key.replace(".init_args", "").rpartition(".")
    if section and section.partition(".")[0] not in FIT_OPTIONS:
        # the first word is wrong, so the rest of the key is of no use
        section, _, option = "", "", section.partition(".")[0]
    section, option = _first_unknown(section, option, composed)
    # a class may pass its options to a base class but set one of them itself
    choices = [choice for choice in options_of(section, composed, message) if choice != option]
    if not section:
        return f"no option '{option}'{suggest_option(option)}"
    hint = suggest_option(option, section) or did_you_mean(option, choices) or _list_choices(choices)
    return f"{section}: no option '{option}'{hint}"


def _list_choices(choices: list[str]) -> str:
    return f"; there are {join_names(choices, 12)}" if choices else ""


def _first_unknown(section: str, option: str, composed: Namespace) -> tuple[str, str]:
    """Return the section and the name of the first word of a key that is no option: `model` of `model.optimzer.lr`."""
    words = section.split(".") if section else []
    for count in range(1, len(words)):
        above = ".".join(words[:count])
        choices = options_of(above, composed)
        if choices and words[count] not in choices:
            return above, words[count]
    return section, option


def _unknown_class(message: str, _composed: Namespace) -> str | None:
    match = re.search(r"Expected a dot import path string: (\S+)", message)
    if match and not re.search(r"Expected a <class '(int|float|bool)'>", message):
        key = _path(message)
        names = class_names(key)
        listed = f"\navailable: {', '.join(names)}" if 0 < len(names) <= 30 else ""
        return f"{key}: no class '{match[1]}'{did_you_mean(match[1], names)}{listed}{list_blocks(key)}"
    match = re.search(
        r"Problem with given class_path '([\w.]+)':\s*(.*(?:No module named|has no attribute).*)", message
    )
    if match:
        module, _, name = match[1].rpartition(".")
        return f"{_path(message)}: {match[1]}: {match[2]}{did_you_mean(name, public_names(module))}"
    match = re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", message)
    if match and match[1].startswith(SCHEDULERS) and find_class(match[1]) is not None:
        name, options = match[1].rpartition(".")[2], ", ".join(required_options(match[1])) or "none"
        return f"{_path(message)}: an option of {name} is missing, unknown or of another type; it needs {options}"
    if match and "Option" not in message:
        return f"{_path(message)}: {match[1]} is not a {match[2]}{_suggest_classes(_path(message))}"
    return None


def require_known_sections(file: Path, config: Namespace) -> None:
    """Check that the empty sections of a file are options, which jsonargparse does not check.

    Args:
        file: A file of the recipe.
        config: The config that it is a part of.

    Raises:
        ConfigError: If an empty section is not an option.
    """
    for key in _empty_sections(read(file), ""):
        if key not in config:
            section, _, option = key.replace(".init_args", "").rpartition(".")
            choices = options_of(section, config)
            if option not in choices:
                hint = suggest_option(option, section) or did_you_mean(option, [*choices, *_BLOCK])
                raise ConfigError(f"{show(file)}: {section}: no option '{option}'{hint}")


_BLOCK = ("class_path", "init_args", "dict_kwargs")


def _empty_sections(content: dict[str, Any], above: str) -> Iterator[str]:
    for name, value in content.items():
        key = f"{above}.{name}" if above else str(name)
        if isinstance(value, dict) and value:
            yield from _empty_sections(value, key)
        elif value == {} and name not in _BLOCK and above:
            yield key


def _required_option(message: str, _composed: Namespace) -> str | None:
    match = re.search(r"the following arguments are required: (.+)", message)
    if not match:
        return None
    owner = _path(message)
    keys = [f"{owner}.{key}" if owner else key for key in re.split(r",\s*", match[1].strip())]
    return f"{', '.join(keys)}: not given{list_blocks(keys[0])}"


def _wrong_type(message: str, composed: Namespace) -> str | None:
    expected = list(dict.fromkeys(re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", message, re.MULTILINE)))
    value_match = next(
        filter(
            None, (re.search(p, message, re.M) for p in (r"val='(.+?)'\)", r"Got value: (.+)$", r"Given value: (.+)$"))
        ),
        None,
    )
    if not expected or not value_match:
        return None
    if (misplaced := _misplaced(_path(message), composed)) is not None:
        return misplaced
    kinds = [_plain_type(kind) for kind in expected if "NoneType" not in kind and not kind.startswith(("path", "dot"))]
    if not kinds and (misplaced := _misplaced_class(_path(message), value_match[1].strip())) is not None:
        return misplaced
    if not kinds or "is abstract" in message:
        hint = " (--config configs/logging/wandb.yaml)" if "trainer.logger" in message else ""
        return (
            f"{_path(message)}: belongs to a class that is not known yet; name it first, by --config{hint} or by its "
            "option; in a file its options are under init_args"
        )
    types = " or ".join(dict.fromkeys(kinds))
    literals = re.findall(r"Literal\[(.+?)\]", " ".join(expected))
    choices = [str(choice) for literal in literals for choice in ast.literal_eval(f"[{literal}]")]
    value = value_match[1].strip()
    hint = did_you_mean(value, choices)
    if kinds == ["a text"] and re.fullmatch(r"True|False|None|[-+.\d e]+", value):
        hint = "; YAML reads no, yes, on, off and numbers as something else: quote it, such as 'no' or '0'"
    return f"{_path(message)}: {value} is not {types}{hint}"


def _misplaced(key: str, composed: Namespace) -> str | None:
    """Return the message about a key whose section is misspelt; None if it is not."""
    section, _, option = key.rpartition(".")
    above, name = _first_unknown(section, option, composed)
    if above != section:
        choices = options_of(above, composed)
        return f"{above}: no option '{name}'{did_you_mean(name, choices, 12)}"
    return None


def _empty_value(message: str, _composed: Namespace) -> str | None:
    if re.search(r"Given value: *$", message):
        return f"{_path(message)}: the value is empty; give one, or leave the option out"
    return None


def _no_options(message: str, _composed: Namespace) -> str | None:
    match = re.search(r"Unable to load config '(.*)'", message)
    return f"{_path(message)}: must hold options (key: value), got {match[1]}" if match else None


_DESCRIBE = (_empty_value, _no_options, _unknown_option, _unknown_class, _required_option, _wrong_type)


def _misplaced_class(key: str, value: str) -> str | None:
    """Return the message about a class that a key does not take; None if there is no such class."""
    match = re.search(r"class_path'?[=:] ?'([\w.]+)'", value)
    path = match[1] if match else value
    names = class_names(key)
    if find_class(path) is None or path.rpartition(".")[2] in names:
        return None
    return f"{key}: {path} cannot stand here{_suggest_classes(key)}"


def _suggest_classes(key: str) -> str:
    """Return the end of a message about a class of the wrong kind: the classes that the key takes."""
    names, word = class_names(key), key.rpartition(".")[2]
    note = " or another scheduler of torch by its path" if word == "schedule" else ""
    return f"; take {', '.join(names)}{note}" if 0 < len(names) <= 30 else ""


def _has_option(file: Path, option: str) -> bool:
    """Return whether a file sets an option."""
    return bool(re.search(rf"(?<!\w){re.escape(option)}\s*:", file.read_text(encoding="utf-8")))


def _path(message: str) -> str:
    """Return the key of a message as on the command line: `model.net.width`."""
    keys = re.findall(r'Parser key "(.+?)"', message)
    nested = re.findall(r"^  Given value: NestedArg\(key='(.+?)'", message, re.MULTILINE)
    if nested and keys:
        return f"{keys[0]}.{nested[-1]}".replace(".init_args", "")
    # the branches of a union repeat a key
    return ".".join(dict.fromkeys(keys)).replace(".init_args", "")


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
