"""Each module with logic has a test file at the mirrored path."""

import ast
from pathlib import Path

from tests.conftest import ROOT

LINES = 40
"""Modules of more lines, of which at least one is a branch in a function, have logic."""

_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.BoolOp, ast.comprehension)

ELSEWHERE = {
    # the verb is this module: each of its tests needs a trained run
    "exporting/export.py": "test_export.py",
    # the story of a training: what it calls has tests of its own
    "training/run.py": "test_fit.py",
    # the base of two data modules, with options of one
    "data/datasets/annotated_masks.py": "data/datasets/test_annotated_images.py",
    # the mean of runs that a command exports
    "evaluation/soup.py": "test_export.py",
    # several processes that must agree
    "training/agreement.py": "promises/test_processes.py",
}
"""Tests of modules that only a command line drives, relative to tests/."""


def has_logic(path: Path) -> bool:
    """Return whether a module has logic."""
    text = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    branches = (node for function in functions for node in ast.walk(function) if isinstance(node, _BRANCHES))
    return len(text.splitlines()) > LINES and any(branches)


def mirrored(module: Path) -> Path:
    """Return the path of a module's tests, both relative; a package that is a module is called by its folder."""
    stem = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    return module.with_name(f"test_{stem}.py")


def test_modules__have_tests_at_the_mirrored_path():
    package, tests = ROOT / "lightseg", ROOT / "tests"
    modules = (path for path in package.rglob("*.py") if not (tests / mirrored(path.relative_to(package))).is_file())
    missing = {path.relative_to(package).as_posix() for path in modules if has_logic(path)}
    assert missing == set(ELSEWHERE)
    assert all((tests / place).is_file() for place in ELSEWHERE.values())
