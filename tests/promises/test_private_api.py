"""Private names of other libraries: few, each in the module that has the reason beside it."""

import ast
import re
from collections.abc import Iterator

from tests.conftest import ROOT

MOST = 12

NAMES = {
    # hooks, most of them empty, are some percent of a small net's step
    "_call_callback_hooks": {"distributed/lightning_compat.py"},
    "_call_lightning_module_hook": {"distributed/lightning_compat.py"},
    "_call_strategy_hook": {"distributed/lightning_compat.py"},
    "_current_fx_name": {"distributed/lightning_compat.py"},
    # Lightning's observer kills the process that prints the error
    "_launch_process_observer": {"distributed/lightning_compat.py"},
    # Lightning exchanges signals in every step, on the device
    "_broadcast_sigterm_tensor": {"distributed/lightning_compat.py"},
    # the step of the logs, which Lightning restores wrong; checkpoints hold it under this name
    "_batches_that_stepped": {"distributed/lightning_compat.py", "training/state_schema.py"},
    # a strategy tells nobody how long its processes wait for each other
    "_timeout": {"distributed/lightning_compat.py"},
    # Lightning does not advance schedules that follow a score in the epoch of a resume
    "_restarting": {"distributed/lightning_compat.py"},
    # wandb waits for its process without a limit
    "_proc": {"tracking/wandb_run.py"},
    "_process": {"tracking/wandb_run.py"},
    # wandb-workspaces writes a workspace to its service only
    "_to_model": {"tracking/wandb_workspace.py"},
}
"""Modules that use a private name of another library, by the name."""

PUBLIC = {"_replace", "_make", "_asdict", "_fields", "_exit", "_python_dispatch"}
"""Names that documentation describes: those of named tuples, `os._exit`, and torch's module of dispatch modes."""


def _is_private(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"_[a-zA-Z]\w*[a-z]\w*(?<!__)", name) is not None


def _strings(node: ast.AST) -> Iterator[ast.expr | None]:
    """Yield the strings by which a node refers to an attribute."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
        yield node.args[1]
    elif isinstance(node, ast.Subscript):
        yield node.slice
    elif isinstance(node, ast.keyword) and node.arg == "alias":
        yield node.value
    elif isinstance(node, ast.Tuple) and len(node.elts) > 1 and isinstance(node.elts[0], ast.Name | ast.Attribute):
        yield from node.elts[1:]


def _used(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module takes from others, but those of its own classes' bases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "super()"):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("lightseg"):
            yield from [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        yield from (string.value for string in _strings(node) if isinstance(string, ast.Constant))


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines: functions, classes, variables and attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def test_private_names__of_other_libraries_are_few_and_known():
    package, uses = ROOT / "lightseg", dict[str, set[str]]()
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in {*filter(_is_private, _used(tree))} - {*_defined(tree)} - PUBLIC:
            uses.setdefault(name, set()).add(path.relative_to(package).as_posix())
    assert uses == NAMES
    assert len(NAMES) <= MOST
