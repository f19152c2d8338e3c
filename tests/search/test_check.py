"""Check of command lines of `fit` in a process of its own, which is this one here."""

import io
import json

import pytest

from lightseg.cli.entry import guarded
from lightseg.search.check import main


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        ("--model.net.width=8", 0, ""),
        ("--model.net.widht=8", 2, "did you mean width?"),
        ("--model.net=UNett", 2, "did you mean UNet?"),
        ("--model.optimizer.lr=-1", 2, "model.optimizer"),
    ],
)
def test_check__builds_each(files, monkeypatch, capsys, option, code, message):
    files()
    lines = json.dumps([["--config=tiny.yaml"], ["--config=tiny.yaml", option]])
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert guarded(main) == code
    assert message in capsys.readouterr().err
