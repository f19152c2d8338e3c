"""Environment variables of launchers and libraries."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, Outcome
from tests.helpers.refusal import assert_refused


@pytest.mark.parametrize(("name", "value"), [("RANK", "x"), ("SLURM_PROCID", ""), ("SLURM_RESTART_COUNT", "²")])
def test_environment__a_rank_that_is_no_number_is_named(fit, recipe, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert_refused(fit("--config", recipe()), f"{name}: the environment sets it to {value!r}")


@pytest.mark.parametrize("name", ["MPLBACKEND", "HF_HUB_DOWNLOAD_TIMEOUT", "TORCH_LOGS"])
def test_environment__a_value_that_a_library_refuses_is_named(recipe, tmp_path, name):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), name: "x"}
    command = [sys.executable, "-m", "lightseg.fit", "--config", str(recipe())]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert_refused(
        Outcome(done.returncode, done.stdout, done.stderr), f"{name}: the environment sets it to 'x'", "; unset"
    )


def test_environment__of_half_a_launcher_is_named(fit, recipe, monkeypatch):
    for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "x")
    done = fit("--config", recipe(), "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert done.code == 2
    assert "the environment has variables of SLURM, but not SLURM_" in done.err
    assert "Traceback" not in done.err
