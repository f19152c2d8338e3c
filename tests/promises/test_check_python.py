"""The line about what an interpreter lacks, before anything is downloaded or imported."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT

MINOR = sys.version_info.minor
MISSING = "raise ImportError"


@pytest.fixture
def check(tmp_path):
    """Run the check in a folder with the requirements of some Pythons, and with modules that hide the real ones."""

    def run(minors=(MINOR,), **modules):
        shutil.copy(ROOT / ".requirements/check_python.py", tmp_path)
        for minor in minors:
            (tmp_path / f"py3{minor}.txt").touch()
        # the environment of the tests is made without pip
        for name, text in {"pip": "", **modules}.items():
            (tmp_path / f"{name}.py").write_text(text)
        result = subprocess.run([sys.executable, tmp_path / "check_python.py"], capture_output=True, text=True)
        assert result.returncode == (2 if result.stderr else 0)
        assert result.stderr.count("\n") <= 1
        return result.stderr

    return run


def test_check__a_tested_python_lacks_nothing(check):
    assert check() == ""


def test_check__too_old(check):
    message = check(minors=(MINOR + 100, MINOR + 101))
    assert f"Python 3.{MINOR}." in message
    assert f"is too old for lightseg (3.{MINOR + 100} to 3.{MINOR + 101}); make install PYTHON=python3." in message


def test_check__too_new(check):
    message = check(minors=(8, 9))
    assert "is newer than what lightseg is tested with (3.8 to 3.9)" in message
    assert "-m venv .venv && .venv/bin/pip install ." in message


def test_check__names_a_python_that_is_there(check, tmp_path, monkeypatch):
    (tmp_path / "python3.7").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "make install PYTHON=python3.7," in check(minors=(7, 8, 9))


def test_check__libraries_that_it_was_built_without(check):
    message = check(lzma=MISSING, ctypes=MISSING)
    assert "was built without ctypes, lzma; install libffi-dev liblzma-dev and build it anew" in message


def test_check__no_pip(check):
    assert "has no pip; " in check(pip=MISSING)


def test_make__no_such_python(tmp_path):
    command = ["make", "install", "PYTHON=no-such-python", f"VENV={tmp_path / 'venv'}"]
    # a make inside `make test` would say which folder it enters
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS")}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 2
    assert result.stderr.startswith("lightseg: error: no-such-python: not found; ")
    assert result.stdout == ""


def test_verb__dependencies_not_installed():
    # without site-packages, as in a clone whose environment is not active
    started = subprocess.run([sys.executable, "-S", "-m", "lightseg.fit"], cwd=ROOT, capture_output=True, text=True)
    assert started.returncode == 2
    assert started.stderr.count("\n") == 1
    assert "lightseg is not installed for it; call `make install`" in started.stderr


def test_versions__the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    minors = sorted(path.stem[3:] for path in (ROOT / ".requirements").glob("py3*.txt"))
    assert [word.rpartition("3.")[2] for word in project["classifiers"] if ":: 3." in word] == minors
    assert f"for minor in {' '.join(minors)};" in (ROOT / "Makefile").read_text()
    assert re.search(rf"Python 3\.{minors[0]} to 3\.{minors[-1]} ", (ROOT / "README.md").read_text())
