"""Pages of the site that are made from the code, the recipes and other documents of the repository.

Everything is read, nothing is imported: building the site needs neither torch nor lightseg.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent

DOCUMENTS = {
    "results.md": "experiments/README.md",
    "ARCHITECTURE.md": ".github/ARCHITECTURE.md",
    "CONTRIBUTING.md": ".github/CONTRIBUTING.md",
    "CHANGELOG.md": ".github/CHANGELOG.md",
}
"""Pages that are documents of the repository."""

PACKAGES = ("data", "nets", "tasks", "losses", "metrics", "optim", "callbacks")
"""Public packages, each of which has a page of its `__all__`."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for path, text in generated_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def generated_pages() -> dict[str, str]:
    """Return the Markdown of each generated page by its path in the site."""
    pages = {page: (ROOT / source).read_text(encoding="utf-8") for page, source in DOCUMENTS.items()}
    pages["reference/commands.md"] = _commands()
    pages["reference/configs.md"] = _configs()
    pages["reference/losses.md"] = _losses()
    pages["reference/lightseg.md"] = _api("lightseg")
    return pages | {f"reference/lightseg.{name}.md": _api(f"lightseg.{name}") for name in PACKAGES}


def _commands() -> str:
    """Return the page of the verbs, with what `--help` of each prints."""
    verbs = _constant("lightseg/__main__.py", "VERBS")
    parts = ["# Commands", "What `python -m lightseg.VERB --help` prints; `lightseg VERB` is the same command."]
    for verb, purpose in ast.literal_eval(verbs).items():
        path = f"lightseg/{verb}.py" if (ROOT / f"lightseg/{verb}.py").is_file() else f"lightseg/{verb}/__main__.py"
        usage = (ast.get_docstring(_module(path)) or "").partition("\n\n")[2].strip()
        parts += [f"## {verb}", f"{purpose[0].upper()}{purpose[1:]}.", f"```text\n{usage}\n```"]
    return _join(parts)


def _configs() -> str:
    """Return the page of all blocks and recipes, each with its text."""
    intro = "A recipe names blocks by `base:`; a block is also an overlay, given by a further `--config`."
    parts = ["# Recipes and blocks", intro]
    for folder in sorted({file.parent for top in ("configs", "experiments") for file in (ROOT / top).rglob("*.yaml")}):
        parts.append(f"## {folder.relative_to(ROOT)}")
        for file in sorted(folder.glob("*.yaml")):
            text = file.read_text(encoding="utf-8").strip()
            parts += [f"### {file.relative_to(ROOT)}", f"```yaml\n{text}\n```"]
    return _join(parts)


def _losses() -> str:
    """Return the page of the losses that a recipe can name, with their settings."""
    path = "lightseg/losses/losses.py"
    module, losses = _module(path), _constant(path, "LOSSES")
    assert isinstance(losses, ast.Dict)
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    rows = ["| `--model.loss` | class | settings | meaning |", "|---|---|---|---|"]
    for name, kind in zip(losses.keys, losses.values, strict=True):
        assert isinstance(name, ast.Constant)
        assert isinstance(kind, ast.Name)
        meaning = (ast.get_docstring(classes[kind.id]) or "").partition("\n")[0]
        settings = ", ".join(_settings(classes[kind.id]))
        rows.append(f"| `{name.value}` | [`{kind.id}`][lightseg.losses.{kind.id}] | {settings} | {meaning} |")
    return _join(["# Losses", ast.get_docstring(module) or "", "\n".join(rows)])


def _settings(loss: ast.ClassDef) -> list[str]:
    """Return the settings of a loss with their defaults; the first argument, `weight`, is that of the classes."""
    for node in loss.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            settings = zip(node.args.args[2:], node.args.defaults[1:], strict=True)
            return [f"`{argument.arg}: {ast.unparse(default)}`" for argument, default in settings]
    return []


def _api(package: str) -> str:
    """Return the page of a package: its docstring, then that of every name of its `__all__`."""
    path = f"{package.replace('.', '/')}/__init__.py"
    names = ast.literal_eval(_constant(path, "__all__"))
    parts = [f"# {package}", ast.get_docstring(_module(path)) or ""]
    return _join([*parts, *(f"::: {package}.{name}" for name in names)])


def _module(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _constant(path: str, name: str) -> ast.expr:
    """Return the expression that a module assigns to a name."""
    for node in _module(path).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=target)], value=value)
                | ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value)
            ) if target == name:
                return value
    raise LookupError(f"{path}: assigns no {name}")


def _join(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"
