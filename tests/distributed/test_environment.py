"""Environment variables of launchers and libraries."""

import os
import subprocess
import sys

import pytest
from lightning.pytorch.utilities import rank_zero_only

from lightseg.distributed.environment import require_readable
from tests.conftest import ROOT, Outcome
from tests.helpers.refusal import assert_refused


@pytest.mark.parametrize(("name", "value"), [("RANK", "x"), ("SLURM_PROCID", ""), ("SLURM_RESTART_COUNT", "²")])
def test_environment__a_rank_that_is_no_number_is_named(fit, recipe, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert_refused(fit("--config", recipe()), f"{name}: the environment sets it to {value!r}")


@pytest.mark.parametrize(
    "name",
    ["TORCH_LOGS", *(pytest.param(name, marks=pytest.mark.slow) for name in ("MPLBACKEND", "HF_HUB_DOWNLOAD_TIMEOUT"))],
)
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIGHTSEG_CORES", "0"),
        ("OPENCV_IO_MAX_IMAGE_PIXELS", "x"),
        ("OPENCV_IO_MAX_IMAGE_PIXELS", "1GB"),
        ("OPENCV_DUMP_ERRORS", "yes"),
        ("PYTORCH_ALLOC_CONF", "x"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments=True"),
    ],
)
def test_environment__a_value_that_would_abort_the_process_is_named(fit, recipe, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert_refused(
        fit("--config", recipe()), f"{name}: the environment sets it to {value!r}, which is", f"; unset {name}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENCV_IO_MAX_IMAGE_PIXELS", "64MB"),
        ("OPENCV_DUMP_ERRORS", "true"),
        ("PYTORCH_ALLOC_CONF", ""),
        ("PYTORCH_ALLOC_CONF", "roundup_power2_divisions:[256:1,512:2,>:8], expandable_segments : True,"),
    ],
)
def test_environment__a_value_that_libraries_read_is_taken(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    require_readable()
    library = "cv2" if name.startswith("OPENCV") else "torch"
    subprocess.run([sys.executable, "-c", f"import {library}"], check=True)


RANKS = ["RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"]
SLURM_RANKS = ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"]
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "29500"}


def test_environment__a_rank_that_is_left_over_does_not_matter_to_one_process(fit, recipe, monkeypatch):
    for name in [*RANKS, "SLURM_LOCALID", "NODE_RANK"]:
        monkeypatch.setenv(name, "1")
    # which Lightning takes from the environment when it is imported
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    run = fit("--config", recipe(), "--trainer.max_epochs", "1")
    assert run.code == 0, run.err
    assert [line["step"] for line in run.log if "train/loss" in line] == [0, 1, 2]


def test_environment__of_an_interactive_shell_of_slurm_does_not_matter_to_one_process(fit, recipe, monkeypatch):
    # as `srun --pty zsh` sets them
    for name, value in {**dict.fromkeys(SLURM_RANKS, "0"), "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "zsh"}.items():
        monkeypatch.setenv(name, value)
    assert fit("--config", recipe(), "--trainer.max_epochs", "1").code == 0


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK: the environment sets it, but not MASTER_PORT"),
        ({"NODE_RANK": "1"}, "NODE_RANK: the environment sets it to 1, but num_nodes is 1; unset NODE_RANK"),
        (
            {
                "SLURM_NTASKS": "1",
                "SLURM_JOB_NAME": "zsh",
                "SLURM_PROCID": "0",
                "SLURM_LOCALID": "0",
                "SLURM_NODEID": "0",
            },
            "SLURM_NTASKS: the environment is that of 1 processes, but devices × num_nodes is 2",
        ),
        (
            {**TORCHRUN, "WORLD_SIZE": "3"},
            "WORLD_SIZE: the environment is that of 3 processes, but devices × num_nodes is 2",
        ),
    ],
)
def test_environment__that_would_let_two_processes_wait_is_refused(fit, recipe, monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert_refused(fit("--config", recipe(), "--trainer.devices", "2", "--trainer.strategy", "ddp"), message, "unset")


def test_environment__of_torchrun_with_one_device_would_train_twice(fit, recipe, monkeypatch):
    variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "29500"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert_refused(
        fit("--config", recipe()), "WORLD_SIZE: the environment is that of 2 processes, but devices × num_nodes is 1"
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["-", "-c", "-i -"])
def test_program__without_a_file_is_refused_where_ddp_would_start_it_again(recipe, tmp_path, how):
    words = ["--config", str(recipe()), "--runs_dir", str(tmp_path / "runs"), "--trainer.devices", "2"]
    code = f"import sys\nfrom lightseg.fit import main\nsys.exit(main({[*words, '--trainer.strategy', 'ddp']}))\n"
    command = [sys.executable, *how.split(), *([code] if how == "-c" else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=code, cwd=tmp_path, env=environment, capture_output=True, text=True)
    (message,) = [line for line in done.stderr.splitlines() if "lightseg: error: " in line]
    assert "from stdin, `-c` or a notebook cannot be started again; run a script or `python -m lightseg.fit`" in message
    assert done.returncode == 2 or how == "-i -"
    assert not (tmp_path / "runs").exists()
