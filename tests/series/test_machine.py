"""Shares of the machine; GPUs are those that CUDA_VISIBLE_DEVICES or a script in place of nvidia-smi names."""

import os

import pytest

from lightseg.errors import ConfigError
from lightseg.hardware.cpu import usable_cores
from lightseg.series.machine import divide, free_port, visible_gpus


@pytest.fixture
def gpus(monkeypatch):
    """Name GPUs."""

    def name(number: int) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(number))))

    return name


@pytest.fixture
def cores(monkeypatch):
    """Give this process some cores."""
    monkeypatch.setattr("lightseg.series.machine.usable_cores", lambda: 16)


def shares(machine):
    """The shares of all runs at the same time."""
    taken = []
    for _ in range(machine.jobs):
        taken.append(machine.free_share(taken))
    return [share.variables for share in taken]


def visible(machine):
    return [share.get("CUDA_VISIBLE_DEVICES") for share in shares(machine)]


@pytest.mark.parametrize(
    ("number", "options", "runs", "jobs", "expected"),
    [
        # one per GPU, and no more than there are runs
        (4, [], 40, None, ["0", "1", "2", "3"]),
        (4, [], 2, None, ["0", "1"]),
        (4, ["--trainer.devices", "2"], 40, None, ["0,1", "2,3"]),
        (3, ["--trainer.devices", "2"], 40, None, [None]),
        # auto shares all of them
        (4, [], 40, 2, ["0,1", "2,3"]),
        (4, ["--trainer.devices=auto"], 40, 2, ["0,1", "2,3"]),
        (4, ["--trainer.devices", "-1"], 40, 3, ["0", "1", "2"]),
        # several on a GPU
        (2, [], 40, 3, ["0", "1", "0"]),
        (2, ["--trainer.devices=2"], 40, 2, ["0,1", "0,1"]),
        # as without a series
        (4, [], 40, 1, [None]),
        (4, ["--trainer.devices", "[1,2]"], 40, None, [None]),
        (4, ["--trainer.devices", "1,2"], 40, None, [None]),
        (4, ["--trainer.accelerator", "cpu"], 40, 2, [None, None]),
        (0, [], 40, 2, [None, None]),
    ],
)
def test_machine__gpus(gpus, cores, monkeypatch, number, options, runs, jobs, expected):
    gpus(number)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert visible(divide(options, runs, jobs)) == expected


def test_machine__gpus_named_by_index_cannot_be_shared(gpus):
    gpus(4)
    with pytest.raises(ConfigError, match=r"--jobs: trainer.devices names GPUs \(\[0, 1\]\), .*; give their number"):
        divide(["--trainer.devices", "[0, 1]"], 4, 2)


@pytest.mark.parametrize(
    ("threads", "jobs", "stored", "options", "expected"),
    [
        # without GPUs: one run on all cores, or as many as the threads allow
        (None, None, None, [], (1, None)),
        ("2", None, None, [], (8, 2)),
        ("2,4", None, None, [], (8, 2)),
        ("2", None, None, ["--trainer.devices", "4"], (2, 8)),
        ("many", None, None, [], (1, None)),
        (None, 4, None, [], (4, 4)),
        (None, 32, None, [], (32, 1)),
        # a series that goes on keeps the cores of its runs
        (None, None, 4, [], (4, 4)),
        (None, 2, 4, [], (2, 4)),
        (None, 1, 4, [], (1, 4)),
    ],
)
def test_machine__cores(gpus, cores, monkeypatch, threads, jobs, stored, options, expected):
    gpus(0)
    monkeypatch.setenv("OMP_NUM_THREADS", threads or "x")
    machine = divide(options, 100, jobs, stored)
    assert (machine.jobs, machine.cores) == expected


def test_machine__the_share_of_cores_holds_for_the_run(monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CORES", "1")
    assert usable_cores() == 1
    monkeypatch.setenv("LIGHTSEG_CORES", "100000")
    assert usable_cores() <= os.cpu_count()


def test_machine__devices_of_the_recipe_count(gpus, cores, recipe):
    gpus(4)
    config = recipe("{trainer: {devices: 2, accelerator: gpu}}")
    assert visible(divide(["--config", str(config)], 9, None)) == ["0,1", "2,3"]
    overlay = recipe("{trainer: {devices: 4}}", "overlay.yaml")
    assert visible(divide(["-c", str(config), "-c", str(overlay)], 9, None)) == [None]
    assert visible(divide(["-c", str(config), "--trainer.accelerator=cpu"], 9, 1)) == [None]


def test_machine__runs_of_several_processes_have_ports_of_their_own(gpus, cores, monkeypatch):
    gpus(0)
    ports = [share["MASTER_PORT"] for share in shares(divide(["--trainer.devices", "2"], 9, 8))]
    assert len(set(ports)) == 8
    assert all(1024 <= int(port) < 2**16 for port in ports)
    assert not any("MASTER_PORT" in share for share in shares(divide([], 9, 8)))
    # a port would make a rank that is left over count as one
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not any("MASTER_PORT" in share for share in shares(divide(["--trainer.devices", "2"], 9, 8)))


LISTING = """GPU 0: NVIDIA H200 (UUID: GPU-1f2e)
GPU 1: NVIDIA A100 (UUID: GPU-3d4c)
  MIG 1g.10gb     Device  0: (UUID: MIG-5b6a)
  MIG 1g.10gb     Device  1: (UUID: MIG-GPU-7890/1/0)
GPU 2: NVIDIA H200 (UUID: GPU-abcd)
"""


def test_machine__asks_the_driver_where_no_variable_names_the_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
    script.chmod(0o755)
    assert visible_gpus() == ["GPU-1f2e", "MIG-5b6a", "MIG-GPU-7890/1/0", "GPU-abcd"]
    script.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus() == []
    script.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_free_port__is_one():
    assert 0 < int(free_port()) < 65536
