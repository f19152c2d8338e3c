"""Processes of a run on one machine."""

import os
import time

import pytest

from lightseg.launch import processes as module
from lightseg.launch.processes import Place, Processes


def wait(processes):
    while (code := processes.poll()) is None:
        time.sleep(0.01)
    return code


@pytest.fixture
def start(tmp_path):
    """Start a shell command in as many processes as there are numbers."""
    started = []

    def run(command, *numbers):
        started.append(Processes(["sh", "-c", command], [{"NUMBER": str(number)} for number in numbers], tmp_path))
        return started[-1]

    yield run
    for processes in started:
        processes.kill()


def test_place__numbers_processes_as_torchrun_does():
    place = Place(node=1, nodes=3, processes=2, address="10.0.0.1", port=4321)
    assert place.variables(1) == {
        "RANK": "3",
        "LOCAL_RANK": "1",
        "GROUP_RANK": "1",
        "WORLD_SIZE": "6",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "4321",
        "TORCHELASTIC_RUN_ID": "10.0.0.1:4321",
    }


def test_processes__end_well_together(start, tmp_path):
    processes = start("pwd > $NUMBER; echo $LIGHTSEG_LAUNCHER_PROCESS >> $NUMBER", 0, 1)
    assert wait(processes) == 0
    for number in "01":
        assert (tmp_path / number).read_text() == f"{tmp_path}\n{os.getpid()}\n"


def test_processes__the_first_failure_counts_and_ends_those_that_hang(start, monkeypatch):
    monkeypatch.setattr(module, "_GRACE", 0.1)
    assert wait(start("test $NUMBER = 1 && exit 3; exec sleep 3000", 0, 1, 2)) == 3


def test_processes__bad_input_counts_before_other_failures(start, tmp_path):
    processes = start("test $NUMBER = 1 && exit 2; exit 1", 0, 1, 2)
    for process in processes._processes:
        process.wait()
    assert processes.poll() == 2


def test_processes__stop_with_their_exit_code(start, tmp_path):
    processes = start("trap 'exit 143' TERM; touch ready$NUMBER; while :; do sleep 0.01; done", 0, 1)
    while len(list(tmp_path.glob("ready*"))) < 2:
        assert processes.poll() is None
    processes.stop()
    assert wait(processes) == 143
