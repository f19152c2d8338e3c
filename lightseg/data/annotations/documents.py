"""Reading of annotation files of unknown origin: of limited size and depth, with errors that name the file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import yaml

from lightseg.config.compose import require_bounded
from lightseg.data.io.text_file import LARGEST, read_text
from lightseg.errors import ConfigError, DataError
from lightseg.files.limited import require_limited

_LARGEST_YAML = 1 << 20
"""Largest YAML file in bytes, since its parser is slow."""

_DEPTH = 16
"""Levels of an XML file; those of CVAT have 6."""

_KINDS: dict[type, str] = {str: "a text", int: "a whole number", list: "a list"}
"""Types of entries, for messages."""

_Value = TypeVar("_Value")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: If it is missing, too large or too deep, no JSON, or holds NaN.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str | bytes, place: str) -> Any:
    """Parse JSON.

    Args:
        text: The text.
        place: The file, for messages.

    Raises:
        DataError: If it is too deep, no JSON, or holds NaN.
    """

    def refuse(name: str) -> None:
        raise DataError(f"{place}: holds {name}, which is no number; export it again")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise DataError(f"{place}: has too many levels of lists; export it again") from None
    except ValueError as error:
        raise DataError(f"{place}: is no JSON ({error}); export it again") from None


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        DataError: If it is missing, too large or too deep, multiplied by aliases, or no YAML.
    """
    require_limited(path, _LARGEST_YAML)
    text = read_text(path)
    try:
        require_bounded(text, str(path), "data set")
        return yaml.safe_load(text)
    except ConfigError as error:
        raise DataError(str(error)) from None
    except (
        *(yaml.YAMLError, ValueError),
        # raised by the constructors of YAML for a value that is not of its tag
        *(AttributeError, LookupError, TypeError),
    ) as error:
        raise DataError(f"{path}: is no YAML ({' '.join(str(error).split())[:100]}); correct it") from None


def iterate_xml(path: Path) -> Iterator[tuple[int, ElementTree.Element]]:
    """Yield each element of an XML file when it is complete, with its depth, 1 for the root.

    The caller clears those that it no longer needs.

    Raises:
        DataError: If it is missing, too large or too deep, or no XML.
    """
    require_limited(path, LARGEST)
    depth = 0
    try:
        for event, element in ElementTree.iterparse(path, ("start", "end")):
            if event == "end":
                yield depth, element
            depth += 1 if event == "start" else -1
            if depth > _DEPTH:
                raise DataError(f"{path}: has more than {_DEPTH} levels; export it again")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    # a file of an encoding that Python lacks raises the latter
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: is no XML ({error}); export it again") from None


def get(mapping: Any, key: str, kind: type[_Value], place: str) -> _Value:
    """Return an entry of a mapping.

    Args:
        mapping: The mapping.
        key: Name of the entry.
        kind: Type that it must have.
        place: File and object, for messages.

    Raises:
        DataError: If it is missing or has another type.
    """
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not isinstance(value, kind):
        state = f"its {key} is {type(value).__name__}" if value is not None else f"has no {key}"
        raise DataError(f"{place}: {state}, and {_KINDS.get(kind, kind.__name__)} is expected; export it again")
    return value
