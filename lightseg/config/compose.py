"""Recipes are composed of files: a recipe names its `base` files, which are applied before it.

Imports nothing heavy, so that a missing file or a slip in YAML is reported at once.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lightseg.config.option_names import FIT_OPTIONS, meant
from lightseg.errors import ConfigError, did_you_mean
from lightseg.files.atomic import expand_home

_HERE = Path(__file__).resolve().parent.parent
LIBRARY = _HERE.parent if (_HERE.parent / "configs").is_dir() else _HERE
"""The folder that holds `configs/` and `experiments/`: the clone's, or the installed package's."""

_DEEPEST = 50
_LARGEST = 100_000
SECTIONS = ("model", "data", "trainer")


class _Loader(yaml.SafeLoader):
    """Refuses what YAML allows and nobody means: a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.MarkedYAMLError(problem=f"the key '{twice[0]}' is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def chain(path: str | Path) -> list[Path]:
    """The files that make up a recipe: its bases, theirs first, then itself.

    Args:
        path: A YAML file, relative to the working directory or to the library's own folder.

    Raises:
        ConfigError: If a file is missing, is not a mapping, or is its own base.
    """
    return _chain(_locate(str(path), Path.cwd(), None), ())


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: If it cannot be read, is no mapping, or has a key that YAML would lose.
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
        # jsonargparse lets a dotted key silently drop the block of the same name
        raise ConfigError(f"{show(path)}: write '{key}' nested: {nested}")
    expanded: dict[str, Any] = expand_home(content or {})
    return expanded


def require_bounded(text: str, source: str) -> None:
    """See that YAML is neither nested nor multiplied by aliases beyond what a recipe has, before it is built.

    Args:
        text: YAML.
        source: The file or option that it is in, for the message.

    Raises:
        ConfigError: If it is.
        yaml.YAMLError: If it is no YAML.
    """
    # the nodes so far of each collection that is open, below those of the document
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
                # merged into itself, it would grow with every level
                raise ConfigError(f"{source}: holds itself by the alias *{event.anchor}, which no recipe does")
            open_sizes[-1] += anchors.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            open_sizes[-1] += 1
        if len(open_sizes) > _DEEPEST:
            raise ConfigError(f"{source}: nested deeper than {_DEEPEST} levels, which no recipe is")
        if open_sizes[-1] > _LARGEST:
            raise ConfigError(f"{source}: aliases make it larger than {_LARGEST} values, which no recipe is")


def _plain(problem: str) -> str:
    """The parser's words, with what they mostly mean."""
    if "'\\t'" in problem:
        return "a tab; YAML is indented by spaces"
    if "expected <block end>" in problem or "mapping values are not allowed" in problem:
        return "this line does not fit the indentation of the lines above it"
    return problem


def show(path: Path) -> str:
    """A path as the user would type it: relative where it lies below the working directory."""
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
    """See that the keys of a recipe are options of `fit`, and that its sections hold options."""
    for key, value in content.items():
        name = str(key).rstrip("+")
        if name not in FIT_OPTIONS:
            raise ConfigError(f"{show(path)}: no option '{name}'{meant(name)}")
        if name in SECTIONS and not isinstance(value, dict) and not (isinstance(value, str) and name != "trainer"):
            given = "null" if value is None else value
            raise ConfigError(f"{show(path)}: {name}: must hold options (key: value), got {given}; or leave it out")


def _locate(name: str, folder: Path, asked_by: Path | None) -> Path:
    """The file called `name`: relative to `folder`, or to the library's own folder."""
    for candidate in (folder / name, LIBRARY / _library_part(name)):
        if candidate.is_file():
            return candidate.resolve()
    where = f"{show(asked_by)}: base: " if asked_by else "--config "
    raise ConfigError(f"{where}{name}: no such file{_available(folder / name, LIBRARY / _library_part(name))}")


def _library_part(name: str) -> str:
    """`configs/net/unet.yaml` of `../../configs/net/unet.yaml`: a block is meant wherever the recipe lies."""
    if Path(name).is_absolute():
        return name
    match = re.search(r"(?:^|/)((?:configs|experiments)/.*)", name)
    return match[1] if match else name


def _available(*candidates: Path) -> str:
    """What the user may have meant: the files beside the missing one."""
    for candidate in candidates:
        names = sorted(file.stem for file in candidate.parent.glob("*.yaml"))
        if names:
            files = [f"{name}.yaml" for name in names]
            return f"{did_you_mean(candidate.name, files)}\navailable in {show(candidate.parent)}: {', '.join(names)}"
    return ""


def _dotted_keys(content: dict[str, Any]) -> list[str]:
    """Keys such as `trainer.max_epochs` at the levels where options are named."""
    options = [content, *(content.get(key) for key in ("model", "data", "trainer"))]
    options += [block.get("init_args") for block in options[1:] if isinstance(block, dict)]
    keys = [key for block in options if isinstance(block, dict) for key in block if isinstance(key, str)]
    return [key for key in keys if re.fullmatch(r"\w+(\.\w+)+", key)]
