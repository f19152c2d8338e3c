"""Fixtures of the launchers."""

import os

import pytest

from lightseg.launch.__main__ import main


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program into PATH, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name, text):
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)

    return write


@pytest.fixture
def render(call, recipe):
    """Call the launcher with a tiny recipe; return what it prints."""

    def run(*options, arguments=()):
        code, out, err = call(main, *options, "--", "--config", recipe(), *arguments)
        assert code == 0, err
        return out

    return run
