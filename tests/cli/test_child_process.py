"""Modules as processes of their own."""

import os
import re

import pytest

from lightseg.cli.child_process import run_child
from lightseg.errors import ConfigError


@pytest.fixture
def run(tmp_path):
    """Run a program with the job `{"key": 1}`."""

    def run(program):
        (tmp_path / "program.py").write_text(f"import json, os, sys\n{program}\n")
        return run_child("program", {"key": 1}, {**os.environ, "PYTHONPATH": str(tmp_path)})

    return run


def test_run_child__returns_the_last_line(run):
    assert run("print('first'); print(json.load(sys.stdin)['key'] + 1)") == "2"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "sys.exit('warning: x\\nlightseg: error: model.net: is wrong;\\n  take another')",
            "model.net: is wrong;\n  take another",
        ),
        ("sys.exit('a traceback\\nits last line')", "its last line"),
        ("os.kill(os.getpid(), 9)", "SIGKILL has ended it"),
        ("sys.exit(3)", "it has failed without a message"),
    ],
    ids=["error", "other", "signal", "silent"],
)
def test_run_child__fails_with_the_message_of_the_process(run, program, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        run(program)
