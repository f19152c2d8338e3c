"""Precision `auto`: chosen by the speed of the device, the same everywhere in a run, and named."""

import json
import math
import os
import platform
import re
import subprocess
import sys

import pytest
import torch
import yaml

from lightseg import diff
from lightseg.errors import ConfigError
from lightseg.hardware import devices
from lightseg.hardware.speedup import Speedup, measure_speedup
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
        monkeypatch.setattr(devices, "find_speedup", lambda device, dtype: Speedup(value))

    return set_speedup


def config_of(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("measured", "precision", "reason"),
    [
        (2.3, "bf16-mixed", "bfloat16 is 2.30 × as fast as float32 on this CPU, threshold 1.2"),
        (1.19, "32-true", "bfloat16 is 1.19 × as fast as float32 on this CPU, threshold 1.2"),
        (0.15, "32-true", "bfloat16 is 0.15 × as fast as float32 on this CPU, threshold 1.2"),
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
    measured_dtypes = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GPU of a test")
    monkeypatch.setattr(
        devices, "find_speedup", lambda device, dtype: measured_dtypes.append(dtype) or Speedup(measured)
    )
    choice = devices.choose_precision(torch.device("cuda", 0))
    assert (choice.precision, measured_dtypes) == (precision, [half])
    assert choice.reason.endswith("float32 on GPU of a test, threshold 0.9")


def test_precision__of_mps_is_float32_without_a_measurement():
    assert devices.choose_precision(torch.device("mps")) == ("32-true", "the choice on mps")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_precision__measurement_leaves_generators_threads_and_modes_alone(dtype):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with torch.no_grad():
        assert 0 < measure_speedup(CPU, dtype) < math.inf
        assert not torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_precision__variable_decides_instead_of_a_measurement(monkeypatch, speedup):
    speedup(1.0)
    monkeypatch.setenv("LIGHTSEG_PRECISION", "64-true")
    assert devices.choose_precision(CPU) == ("64-true", "set by LIGHTSEG_PRECISION")
    monkeypatch.setenv("LIGHTSEG_PRECISION", "64-true:as in the first run of the series")
    assert devices.choose_precision(CPU) == ("64-true", "as in the first run of the series")
    monkeypatch.setenv("LIGHTSEG_PRECISION", "auto")
    assert devices.choose_precision(torch.device("mps")).precision == "32-true"
    monkeypatch.setenv("LIGHTSEG_PRECISION", "")
    assert devices.choose_precision(torch.device("mps")).precision == "32-true"
    for value in ("16-mixed", "16"):
        monkeypatch.setenv("LIGHTSEG_PRECISION", value)
        with pytest.raises(ConfigError, match="LIGHTSEG_PRECISION: 16-mixed needs a GPU"):
            devices.choose_precision(CPU)
    monkeypatch.setenv("LIGHTSEG_PRECISION", "bf17")
    with pytest.raises(ConfigError, match="LIGHTSEG_PRECISION: must be one of .*, got bf17"):
        devices.choose_precision(CPU)


def test_precision__of_the_variable_has_its_factor_where_it_is_slow(monkeypatch, speedup):
    speedup(0.15)
    slow = "bfloat16 is 6.7 × slower than float32 on this CPU"
    monkeypatch.setenv("LIGHTSEG_PRECISION", "bf16")
    assert devices.choose_precision(CPU) == (
        "bf16-mixed",
        f"set by LIGHTSEG_PRECISION, {slow}; unset LIGHTSEG_PRECISION to take what is fast",
    )
    monkeypatch.setenv("LIGHTSEG_PRECISION", "bf16-mixed:as in the first run of the series")
    assert devices.choose_precision(CPU) == ("bf16-mixed", f"as in the first run of the series, {slow}")


def test_precision__of_float64_has_its_factor_where_it_is_slow(speedup):
    speedup(0.4)
    slow = "float64 is 2.5 × slower than float32 on this CPU; `--trainer.precision auto` takes what is fast"
    assert devices.check_precision("64", CPU) == ("64-true", slow)
    speedup(0.7)
    assert devices.check_precision("64-true", CPU) == ("64-true", "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--trainer.precision", "16-mixed"],
            "trainer.precision: 16-mixed needs a GPU, and torch finds none on this machine; set bf16-mixed, 32-true",
        ),
        (
            ["--trainer.precision", "16-mixed", "--trainer.accelerator", "cuda"],
            "trainer.accelerator: cuda is not available (torch",
        ),
        (["--trainer.accelerator", "gpu"], "trainer.accelerator: gpu is not available (torch"),
    ],
    ids=["precision", "both", "accelerator"],
)
def test_precision__without_its_gpu_is_one_line_with_the_fix(fit, recipe, tmp_path, speedup, options, message):
    speedup(1.0)
    outcome = fit("--config", recipe(), *options)
    assert outcome.code == 2
    (line,) = outcome.err.strip().splitlines()
    assert message in line
    assert "; set " in line
    assert not (tmp_path / "runs").exists()


def test_precision__aliases_are_recorded_by_their_canonical_names(fit, recipe, call, speedup):
    speedup(1.0)
    once = ("--trainer.max_epochs", "1")
    folders = [fit("--config", recipe(), *once, "--trainer.precision", value).folder for value in ("32", "32-true")]
    assert [config_of(folder)["trainer"]["precision"] for folder in folders] == ["32-true"] * 2
    assert "precision" not in call(diff.main, *folders)[1]


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
    assert "; 32-true (bfloat16 is 0.15 × as fast as float32 on this CPU, threshold 1.2);" in outcome.out


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


def test_precision__is_kept_by_resume_whatever_the_machine_is_now(fit, crashing_recipe, monkeypatch, speedup):
    speedup(2.0)
    monkeypatch.setenv("CRASH", "on_train_batch_end:6")
    crashed = fit("--config", crashing_recipe, "--trainer.precision", "auto")
    assert config_of(crashed.folder)["trainer"]["precision"] == "bf16-mixed"
    monkeypatch.delenv("CRASH")
    speedup(0.15)
    # an overlay asks for auto once more
    resumed = fit("--config", crashing_recipe, "--config", "configs/hardware/cpu.yaml", "--resume", crashed.folder)
    assert resumed.code == 0, resumed.err
    assert "; bf16-mixed (kept from the run, bfloat16 is 6.7 × slower than float32 on this CPU);" in resumed.out
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
from lightseg.hardware.speedup import Speedup

# two processes that measure differently
devices.find_speedup = lambda device, dtype: Speedup(0.15 if int(os.environ.get("LOCAL_RANK", 0)) else 2.0)


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


TWO_RUNS = """
import json, sys
from lightseg.fit import main

sys.exit(any([main(words) for words in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="forces kernels of x86")
def test_precision__of_a_processor_without_bfloat16_is_float32(recipe, tmp_path):
    words = ["--config", str(recipe()), "--runs_dir", str(tmp_path / "runs"), "--trainer.max_epochs", "1"]
    done = subprocess.run(
        [sys.executable, "-c", TWO_RUNS, json.dumps([words, [*words, "--trainer.precision", "bf16-mixed"]])],
        cwd=ROOT,
        env={**os.environ, **AVX2, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"(?s); 32-true \(bfloat16 is 0\.\d\d × as fast as float32 on this CPU, threshold 1\.2\);.*"
        r"; bf16-mixed \(bfloat16 is [\d.]+ × slower than float32 on this CPU",
        done.stdout,
    )
