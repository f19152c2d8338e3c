"""Composition of recipes from files: the `base` files of a recipe are applied before it.

Imports nothing heavy, so that a missing file or a mistake in YAML is reported at once.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lightseg.config.option_names import FIT_OPTIONS, suggest_option
from lightseg.errors import ConfigError, did_you_mean
from lightseg.files.atomic import expand_home

_PACKAGE = Path(__file__).resolve().parent.parent
LIBRARY = _PACKAGE.parent if (_PACKAGE.parent / "configs").is_dir() else _PACKAGE
"""Folder that contains `configs/` and `experiments/`: the clone's, or the installed package's."""

_DEEPEST = 50
_LARGEST = 100_000
SECTIONS = ("model", "data", "trainer")


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses a repeated key, which YAML allows, and a value that is not of its tag, as YAML does."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (LookupError, TypeError, AttributeError, ValueError):
            tag = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(problem=f"this is not a {tag}", problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.MarkedYAMLError(problem=f"the key '{twice[0]}' is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def chain(path: str | Path) -> list[Path]:
    """Return the files of a recipe: its bases, each after its own bases, then the recipe.

    Args:
        path: A YAML file, relative to the working directory or to the folder of the library.

    Raises:
        ConfigError: If a file is missing, is not a mapping, or is its own base.
    """
    return _chain(_locate(str(path), Path.cwd(), None), ())


def read(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: If it cannot be read, is not a mapping, or has a key that jsonargparse would lose.
    """
    try:
        text = path.read_text(encoding="utf-8")
        require_bounded(text, show(path))
        content = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{show(path)}{line}: {_plain(str(error.problem))}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{show(path)}: cannot be read as YAML: {error}") from None
    if not isinstance(content, dict | None):
        raise ConfigError(f"{show(path)}: a recipe is a mapping (key: value), this is a {type(content).__name__}")
    for key in _dotted_keys(content or {}):
        nested = ": {".join(key.split(".")) + ": …" + "}" * key.count(".")
        # with a dotted key, jsonargparse silently drops the block of the same name
        raise ConfigError(f"{show(path)}: write '{key}' nested: {nested}")
    expanded: dict[str, Any] = expand_home(content or {})
    return expanded


def require_bounded(text: str, source: str, kind: str = "recipe") -> None:
    """Check, before YAML is built, that it is neither nested nor multiplied by aliases beyond a recipe.

    Args:
        text: YAML.
        source: Its file or option, for the message.
        kind: Kind of the file, for the message.

    Raises:
        ConfigError: If it is.
        yaml.YAMLError: If it is not YAML.
    """
    # nodes so far of the document, and of each open collection
    open_sizes, anchors, names = [0], dict[str, int](), list[str | None]()
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_sizes.append(1)
            names.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = open_sizes.pop(), names.pop()
            open_sizes[-1] += size
            if name:
                anchors[name] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                # an alias inside its own anchor would grow without end
                raise ConfigError(f"{source}: holds itself by the alias *{event.anchor}, which no {kind} does")
            open_sizes[-1] += anchors.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            open_sizes[-1] += 1
        if len(open_sizes) > _DEEPEST:
            raise ConfigError(f"{source}: nested deeper than {_DEEPEST} levels, which no {kind} is")
        if open_sizes[-1] > _LARGEST:
            raise ConfigError(f"{source}: aliases make it larger than {_LARGEST} values, which no {kind} is")


def _plain(problem: str) -> str:
    """Return a problem of the YAML parser in plain words."""
    if "'\\t'" in problem:
        return "a tab; YAML is indented by spaces"
    if "expected <block end>" in problem or "mapping values are not allowed" in problem:
        return "this line does not fit the indentation of the lines above it"
    return problem


def show(path: Path) -> str:
    """Return a path for a message: relative if it is below the working directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _chain(path: Path, above: tuple[Path, ...]) -> list[Path]:
    if path in above:
        raise ConfigError(f"{show(above[-1])}: base: {show(path)} is already being applied: the bases form a circle")
    content = read(path)
    _require_options(content, path)
    bases = content.get("base") or []
    if isinstance(bases, str):
        bases = [bases]
    if not (isinstance(bases, list) and all(isinstance(base, str) for base in bases)):
        raise ConfigError(f"{show(path)}: base: give a list of files, base: [configs/net/unet.yaml, …]")
    below = [file for base in bases for file in _chain(_locate(base, path.parent, path), (*above, path))]
    return [*below, path]


def _require_options(content: dict[str, Any], path: Path) -> None:
    """Check that the keys of a recipe are options of `fit`, and that its sections hold options."""
    for key, value in content.items():
        name = str(key).rstrip("+")
        if name not in FIT_OPTIONS:
            raise ConfigError(f"{show(path)}: no option '{name}'{suggest_option(name)}")
        if name in SECTIONS and not isinstance(value, dict) and not (isinstance(value, str) and name != "trainer"):
            text = "null" if value is None else value
            raise ConfigError(f"{show(path)}: {name}: must hold options (key: value), got {text}; or leave it out")


def _locate(name: str, folder: Path, parent: Path | None) -> Path:
    """Return the file of a name, relative to `folder` or to the folder of the library."""
    for candidate in (folder / name, LIBRARY / _library_part(name)):
        if candidate.is_file():
            return candidate.resolve()
    source = f"{show(parent)}: base: " if parent else "--config "
    raise ConfigError(f"{source}{name}: no such file{_available(folder / name, LIBRARY / _library_part(name))}")


def _library_part(name: str) -> str:
    """Return `configs/net/unet.yaml` of `../../configs/net/unet.yaml`, so that blocks work from any folder."""
    if Path(name).is_absolute():
        return name
    match = re.search(r"(?:^|/)((?:configs|experiments)/.*)", name)
    return match[1] if match else name


def _available(*candidates: Path) -> str:
    """Return the end of a message about a missing file: the files beside it."""
    for candidate in candidates:
        names = sorted(file.stem for file in candidate.parent.glob("*.yaml"))
        if names:
            files = [f"{name}.yaml" for name in names]
            return f"{did_you_mean(candidate.name, files)}\navailable in {show(candidate.parent)}: {', '.join(names)}"
    return ""


def _dotted_keys(content: dict[str, Any]) -> list[str]:
    """Return keys such as `trainer.max_epochs` at the levels of options."""
    options = [content, *(content.get(key) for key in ("model", "data", "trainer"))]
    options += [block.get("init_args") for block in options[1:] if isinstance(block, dict)]
    keys = [key for block in options if isinstance(block, dict) for key in block if isinstance(key, str)]
    return [key for key in keys if re.fullmatch(r"\w+(\.\w+)+", key)]
