"""Names and summaries of classes, read from their source without importing them."""

import ast
import importlib.util
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightseg

_ROOT = Path(lightseg.__file__).parent


def list_classes(kind: str) -> list[dict[str, Any]]:
    """Return name and summary of all classes of a kind, sorted by name.

    Args:
        kind: A key of `CLASSES`.
    """
    rows = sorted(CLASSES[kind](), key=lambda row: str(row["name"]).lower())
    return list(rows)


def read_keys(file: str, registry: str) -> list[str]:
    """Return the keys of a dictionary literal.

    Args:
        file: Its file, relative to the package.
        registry: Its name.
    """
    literal = _value(_parse(_ROOT / file), registry)
    assert isinstance(literal, ast.Dict)
    return [ast.literal_eval(key) for key in literal.keys if key is not None]


def read_usage(verb: str) -> str:
    """Return the usage of a verb, which is the docstring of its module.

    Args:
        verb: Its name.
    """
    module, package = _ROOT / f"{verb}.py", _ROOT / verb / "__main__.py"
    return ast.get_docstring(_parse(module if module.is_file() else package)) or ""


def _exported(package: str, modules: str, without: str = "") -> Iterator[dict[str, Any]]:
    """Yield the classes that a package exports from some of its modules.

    Args:
        package: Folder of the package.
        modules: Start of the names of the modules.
        without: Name of a module to be left out.
    """
    for module, names in _imports(_parse(_ROOT / package / "__init__.py")):
        if module.startswith(modules) and module != without:
            yield from _described(_file(module), names)


def _registered(file: str, registry: str) -> Iterator[dict[str, Any]]:
    """Yield the classes of a dictionary literal by the name of their key.

    Args:
        file: The file with the dictionary, in which the classes are defined or imported.
        registry: The dictionary's name.
    """
    tree = _parse(_ROOT / file)
    files = {name: _file(module) for module, names in _imports(tree) for name in names}
    literal = _value(tree, registry)
    assert isinstance(literal, ast.Dict)
    for key, value in zip(read_keys(file, registry), literal.values, strict=True):
        assert isinstance(value, ast.Name)
        for row in _described(files.get(value.id, _ROOT / file), [value.id]):
            yield {**row, "name": key}


def _losses() -> Iterator[dict[str, Any]]:
    """Yield the losses, and whether they are of classes that exclude each other, that may overlap, or of both."""
    exclusive, overlapping = (
        list(_registered("losses/losses.py", registry)) for registry in ("LOSSES", "MULTILABEL_LOSSES")
    )
    for row in exclusive:
        yield {"name": row["name"], "classes": "any" if row in overlapping else "exclusive", **row}
    for row in overlapping:
        if row not in exclusive:
            yield {"name": row["name"], "classes": "overlapping", **row}


def _transforms() -> Iterator[dict[str, Any]]:
    """Yield the transforms of lightseg, and those of albumentations that a recipe can name."""
    yield from _described(_ROOT / "data/transforms/rare_crop.py", ["RareClassCrop"], "lightseg.data")
    yield from _described(_ROOT / "data/device_transforms.py", None, "lightseg.data.device_transforms")
    spec = importlib.util.find_spec("albumentations")
    assert spec is not None
    assert spec.origin is not None
    for file in sorted((Path(spec.origin).parent / "augmentations").rglob("*.py")):
        names = _value(_parse(file), "__all__")
        if names is not None:
            yield from _described(file, ast.literal_eval(names), "albumentations")


CLASSES: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "heads": partial(_registered, "nets/heads/__init__.py", "HEADS"),
    "nets": partial(_exported, "nets", "lightseg.nets.", without="lightseg.nets.base"),
    "losses": _losses,
    "datasets": partial(_exported, "data", "lightseg.data.datasets."),
    "transforms": _transforms,
    "schedules": partial(_exported, "optim", "lightseg.optim.schedules"),
}
"""Reader of the classes of each kind."""


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    """Return the file of a module of lightseg."""
    return _ROOT.parent / f"{module.replace('.', '/')}.py"


def _imports(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield module and names of all imports of names."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]


def _value(tree: ast.Module, name: str) -> ast.expr | None:
    """Return the expression that a module assigns to a name; None if there is none."""
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            return node.value
    return None


def _described(file: Path, names: list[str] | None, package: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield name, package, summary and paper of the classes of a file that a recipe can build.

    Args:
        file: The file.
        names: Their names; None for all classes.
        package: Package of their import path.
    """
    for node in _parse(file).body:
        if isinstance(node, ast.ClassDef) and (names is None or node.name in names) and not _is_abstract(node):
            text = ast.get_docstring(node) or ""
            summary = " ".join(text.partition("\n\n")[0].split())
            yield {"name": node.name, "package": package, "paper": _paper(text), "summary": summary}


def _is_abstract(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "ABC" for base in node.bases)


def _paper(text: str) -> str | None:
    """Return the first arXiv number of the source that a docstring names."""
    source = text.partition("Source:")[2].partition("Changed:")[0].partition("Args:")[0]
    match = re.search(r"arXiv:\d{4}\.\d{4,5}", source)
    return match[0] if match else None
