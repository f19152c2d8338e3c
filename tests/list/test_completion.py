import os
import subprocess
import sys

import pytest

from lightseg.__main__ import VERBS
from lightseg.list.completion import bash_script
from tests.conftest import ROOT


@pytest.fixture
def complete(tmp_path):
    """Return what bash offers for the last of some words."""
    (tmp_path / "lightseg").write_text(f'#!/bin/sh\nexec {sys.executable} -m lightseg "$@"\n')
    (tmp_path / "lightseg").chmod(0o755)
    script = tmp_path / "script"
    script.write_text(bash_script("bash"))

    def run(*words):
        ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lightseg; echo "${COMPREPLY[@]}"'
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        command = ["bash", "-c", f"source {script}; {ask}", "bash", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.split()

    return run


def test_completion__of_verbs_options_and_names(complete):
    assert complete("lightseg", "") == list(VERBS)
    assert complete("lightseg", "ex") == ["explain", "export"]
    assert complete("lightseg", "list", "he") == ["heads"]
    assert complete("lightseg", "fit", "--se") == ["--seed_everything", "--seeds"]
    assert complete("lightseg", "fit", "--model.net.head", "") == [
        "dpt",
        "fpn",
        "linear",
        "mlp",
        "segformer",
        "upernet",
    ]
    # as bash divides `--model.net=Se` and `--model.net=`
    assert complete("lightseg", "fit", "--model.net", "=", "Se") == ["Segmenter"]
    assert "Segmenter" in complete("lightseg", "fit", "--model.net", "=")
    assert complete("lightseg", "fit", "--model.in") == ["--model.init"]
    assert complete("lightseg", "fit", "--data.ro") == ["--data.root"]
    assert complete("lightseg", "predict", "") == []
    assert complete("lightseg", "sync", "run", "--t") == ["--to", "--tracking_uri"]
    # those of the recipe belong to it
    assert complete("lightseg", "search", "a.yaml", "--s") == [
        *("--save_every_minutes", "--save_every_n_steps", "--seed_everything", "--study"),
    ]
