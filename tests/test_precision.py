"""Precision `auto`: chosen by what the device does fast, the same everywhere in a run, and named."""

import math
import os
import platform
import subprocess
import sys

import pytest
import torch
import yaml

from lightseg import diff
from lightseg.errors import ConfigError
from lightseg.hardware import devices
from tests.conftest import ROOT

CPU = torch.device("cpu")

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""Kernels of a processor that emulates bfloat16."""


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv("LIGHTSEG_PRECISION")


@pytest.fixture
def speedup(monkeypatch):
    """Replace the measurement on this machine, which may have any processor."""

    def set_speedup(value):
        monkeypatch.setattr(devices, "measure_speedup", lambda device, half: value)

    return set_speedup


def config_of(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("measured", "precision", "reason"),
    [
        (2.3, "bf16-mixed", "bfloat16 is 2.3 × as fast as float32 on this CPU"),
        (1.1, "32-true", "bfloat16 is 1.1 × as fast as float32 on this CPU"),
        (0.15, "32-true", "bfloat16 is 6.7 × slower than float32 on this CPU"),
    ],
)
def test_precision__of_a_cpu_is_bfloat16_where_that_is_faster(speedup, measured, precision, reason):
    speedup(measured)
    assert devices.choose_precision(CPU) == (precision, reason)


@pytest.mark.parametrize(
    ("capability", "measured", "half", "precision"),
    [
        ((7, 5), 3.0, torch.float16, "16-mixed"),
        ((8, 0), 3.0, torch.bfloat16, "bf16-mixed"),
        # no faster, but half the memory
        ((9, 0), 0.95, torch.bfloat16, "bf16-mixed"),
        ((6, 1), 0.3, torch.float16, "32-true"),
    ],
)
def test_precision__of_cuda_follows_its_capability_and_the_measurement(
    monkeypatch, capability, measured, half, precision
):
    asked = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GPU of a test")
    monkeypatch.setattr(devices, "measure_speedup", lambda device, dtype: asked.append(dtype) or measured)
    choice = devices.choose_precision(torch.device("cuda", 0))
    assert (choice.precision, asked) == (precision, [half])
    assert choice.reason.endswith("float32 on GPU of a test")


def test_precision__of_mps_is_float32_without_a_measurement():
    assert devices.choose_precision(torch.device("mps")) == ("32-true", "the choice on mps")


def test_precision__measurement_leaves_generators_threads_and_modes_alone():
    devices.measure_speedup.cache_clear()
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with torch.no_grad():
        assert 0 < devices.measure_speedup(CPU, torch.bfloat16) < math.inf
        assert not torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_precision__variable_decides_instead_of_a_measurement(monkeypatch):
    monkeypatch.setenv("LIGHTSEG_PRECISION", "64-true")
    assert devices.choose_precision(CPU) == ("64-true", "set by LIGHTSEG_PRECISION")
    monkeypatch.setenv("LIGHTSEG_PRECISION", "64-true:as in the first run of the series")
    assert devices.choose_precision(CPU) == ("64-true", "as in the first run of the series")
    monkeypatch.setenv("LIGHTSEG_PRECISION", "auto")
    assert devices.choose_precision(torch.device("mps")).precision == "32-true"
    monkeypatch.setenv("LIGHTSEG_PRECISION", "16-mixed")
    with pytest.raises(ConfigError, match="LIGHTSEG_PRECISION: 16-mixed needs a GPU"):
        devices.choose_precision(CPU)


def test_precision__unknown_is_one_line_before_a_run_folder_exists(fit, recipe, tmp_path):
    outcome = fit("--config", recipe(), "--trainer.precision", "17-mixed")
    assert outcome.code == 2
    assert "trainer.precision: must be one of auto, 32-true" in outcome.err
    assert "got 17-mixed" in outcome.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("accelerator", "expected"), [("cpu", "cpu"), ("auto", "cuda:1"), ("gpu", "cuda:1")])
def test_precision__is_measured_on_the_device_that_trains(monkeypatch, accelerator, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert str(devices.training_device(accelerator, [1, 2])) == expected
    assert str(devices.training_device(accelerator, "1,")) == expected
    with monkeypatch.context() as patch:
        # left over from another program
        patch.setenv("LOCAL_RANK", "1")
        assert str(devices.training_device(accelerator, 4)) == expected.replace("1", "0")
    monkeypatch.setenv("MASTER_PORT", "29500")
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert str(devices.training_device(accelerator, 4)) == expected
            # the second of those that are named
            second = {"cuda:1": "cuda:3", "cpu": "cpu"}[expected]
            assert str(devices.training_device(accelerator, [2, 3])) == second


def test_precision__auto_stands_resolved_in_the_config_and_the_start_line(fit, recipe, speedup):
    speedup(0.15)
    outcome = fit("--config", recipe(), "--trainer.max_epochs", "1")
    assert outcome.code == 0
    assert config_of(outcome.folder)["trainer"]["precision"] == "32-true"
    assert "; 32-true (bfloat16 is 6.7 × slower than float32 on this CPU);" in outcome.out


def test_precision__stated_is_obeyed_and_warned_about_where_it_is_slow(fit, recipe, speedup):
    speedup(0.15)
    outcome = fit("--config", recipe(), "--trainer.max_epochs", "1", "--trainer.precision", "bf16-mixed")
    assert outcome.code == 0
    assert config_of(outcome.folder)["trainer"]["precision"] == "bf16-mixed"
    assert "; bf16-mixed (bfloat16 is 6.7 × slower than float32 on this CPU; `--trainer.precision auto`" in outcome.out


def test_precision__stated_is_not_commented_where_it_is_fast(fit, recipe, speedup):
    speedup(2.0)
    outcome = fit("--config", recipe(), "--trainer.max_epochs", "1", "--trainer.precision", "bf16-mixed")
    assert "; bf16-mixed; in " in outcome.out


def test_precision__is_kept_by_resume_whatever_the_machine_is_now(fit, crashing, monkeypatch, speedup):
    speedup(2.0)
    monkeypatch.setenv("CRASH", "on_train_batch_end:6")
    crashed = fit("--config", crashing, "--trainer.precision", "auto")
    assert config_of(crashed.folder)["trainer"]["precision"] == "bf16-mixed"
    monkeypatch.delenv("CRASH")
    speedup(0.15)
    # an overlay asks for auto once more
    resumed = fit("--config", crashing, "--config", "configs/hardware/cpu.yaml", "--resume", crashed.folder)
    assert resumed.code == 0, resumed.err
    assert "bf16-mixed (kept from the run)" in resumed.out
    assert config_of(resumed.folder)["trainer"]["precision"] == "bf16-mixed"


def test_precision__is_named_by_diff(fit, recipe, speedup, call):
    folders = []
    for value in (2.0, 0.15):
        speedup(value)
        folders.append(fit("--config", recipe(), "--trainer.max_epochs", "1").folder)
    code, out, _ = call(diff.main, *folders)
    assert code == 0
    assert "trainer.precision: bf16-mixed -> 32-true" in out


UNDECIDED = """
import os
import lightning as L
from lightseg.hardware import devices

# two processes that measure differently
devices.measure_speedup = lambda device, half: 0.15 if int(os.environ.get("LOCAL_RANK", 0)) else 2.0


class Tell(L.Callback):
    def on_train_start(self, trainer, task):
        print(f"\\nrank {trainer.global_rank} trains in {trainer.precision}", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [["-m"], ["-m", "torch.distributed.run", "--nproc_per_node", "2", "-m"]], ids=len)
def test_precision__is_the_same_on_two_processes(own_module, recipe, tmp_path, launcher):
    own_module("undecided", UNDECIDED)
    done = subprocess.run(
        [
            *(sys.executable, *launcher, "lightseg.fit", "--config", recipe(), "--runs_dir", tmp_path / "runs"),
            *("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1"),
            "--trainer.callbacks+=undecided.Tell",
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "rank 0 trains in bf16-mixed" in done.stdout
    assert "rank 1 trains in bf16-mixed" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="forces kernels of x86")
def test_precision__of_a_processor_without_bfloat16_is_float32(recipe, tmp_path):
    for options, expected in (
        ([], "32-true (bfloat16 is "),
        (["--trainer.precision", "bf16-mixed"], "bf16-mixed (bfloat16 is "),
    ):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "lightseg.fit", "--config", recipe(), "--runs_dir", tmp_path / "runs"),
                *("--trainer.max_epochs", "1", *options),
            ],
            cwd=ROOT,
            env={**os.environ, **AVX2, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert f"; {expected}" in done.stdout
        assert "× slower than float32 on this CPU" in done.stdout
