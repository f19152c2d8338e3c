"""Speed of a type: measured once per machine, kernels and version of torch."""

import os
from datetime import UTC, datetime

import pytest
import torch

from lightseg.files.disk_cache import cache_dir
from lightseg.hardware import speedup
from lightseg.hardware.devices import choose_precision
from lightseg.hardware.speedup import Speedup, find_speedup
from tests.helpers.forked_process import ForkedProcess
from tests.helpers.processes import PATIENCE

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """Replace the measurement by one that swings about the threshold; return the list of its results."""
    results = []

    def measure(device, dtype):
        results.append((1.36, 1.13)[len(results) % 2])
        return results[-1]

    monkeypatch.setattr(speedup, "measure_speedup", measure)
    return results


def find():
    return find_speedup(CPU, torch.bfloat16)


def entries():
    return list((cache_dir() / "speedup").glob("*.json"))


def test_find_speedup__is_measured_once_and_has_the_day_then(measured):
    today = str(datetime.now(UTC).date())
    assert find() == Speedup(1.36)
    assert [find(), find()] == [Speedup(1.36, today)] * 2
    assert measured == [1.36]


def test_find_speedup__a_choice_near_the_threshold_repeats(measured, monkeypatch):
    monkeypatch.delenv("LIGHTSEG_PRECISION")
    first, second = choose_precision(CPU), choose_precision(CPU)
    comparison = "bfloat16 is 1.36 × as fast as float32 on this CPU, threshold 1.2"
    assert first == ("bf16-mixed", comparison)
    assert second == ("bf16-mixed", f"{comparison}, measured earlier, on {datetime.now(UTC).date()}")


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"])
def test_find_speedup__other_kernels_are_measured_anew(measured, monkeypatch, variable):
    # the tests themselves may run with lesser kernels
    monkeypatch.delenv(variable, raising=False)
    find()
    monkeypatch.setenv(variable, "avx2")
    assert find() == Speedup(1.13)
    monkeypatch.delenv(variable)
    assert find().ratio == 1.36


def test_find_speedup__another_torch_processor_or_type_is_measured_anew(measured, monkeypatch):
    find()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "99.0")
        find()
    with monkeypatch.context() as patch:
        patch.setattr(speedup, "processor_name", lambda: "another")
        find()
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
        find()
    find_speedup(CPU, torch.float64)
    assert len(measured) == len(entries()) == 5


@pytest.mark.parametrize("content", ["", "{", '{"ratio": 9.0, "date": ""}\n1\n'])
def test_find_speedup__damaged_entry_is_measured_anew(measured, capsys, content):
    find()
    (entry,) = entries()
    entry.write_text(content)
    assert find() == Speedup(1.13)
    assert find().ratio == 1.13
    assert capsys.readouterr().err.count("warning: ") == 1


def test_find_speedup__unwritable_cache_is_no_error_and_repeats_in_this_process(measured, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file" / "below"))
    assert [find().ratio, find().ratio] == [1.36, 1.36]


def test_find_speedup__of_a_link_as_lock_is_no_error(measured, tmp_path):
    (cache_dir() / "speedup").mkdir(parents=True)
    (cache_dir() / "speedup" / ".lock").symlink_to(tmp_path / "nowhere")
    assert find() == Speedup(1.36)
    assert not (tmp_path / "nowhere").exists()


RACING = """
import os, time
import torch
from lightseg.hardware import speedup

def measure(device, dtype):
    time.sleep(0.3)
    return float(os.getpid())

speedup.measure_speedup = measure
print(speedup.find_speedup(torch.device("cpu"), torch.bfloat16).ratio)
"""


@pytest.mark.slow
def test_find_speedup__of_two_processes_at_once_is_the_same(tmp_path):
    (tmp_path / "racing.py").write_text(RACING)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    processes = [ForkedProcess("racing", [], tmp_path, environment, tmp_path / f"output{index}") for index in range(2)]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    first, second = (float((tmp_path / f"output{index}" / "stdout").read_text()) for index in range(2))
    assert first == second
    assert first in [float(process.pid) for process in processes]
