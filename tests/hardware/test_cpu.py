"""Cores that a process may use: the affinity mask and the quotas of control groups."""

import math
import os

import pytest
import torch

from lightseg.data.loading.collate import default_workers
from lightseg.hardware import cpu, devices


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        # the tightest of the groups above holds
        ("0::/a/b\n", {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, 4.0),
        # a container whose group is mounted as the root
        ("0::/../docker\n", {"cpu.max": "200000 100000\n"}, 2.0),
        (
            "4:memory:/\n3:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
        ("3:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ("3:cpuset:/\n", {"cpuset/cpu.max": "1 2\n"}, math.inf),
        ("0::/\n", {"cpu.max": "garbage\n"}, math.inf),
    ],
)
def test_quota__is_that_of_the_control_groups(tmp_path, groups, files, expected):
    for name, text in {
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert cpu.cpu_quota(tmp_path) == expected


def test_quota__is_none_where_there_are_no_control_groups(tmp_path):
    assert cpu.cpu_quota(tmp_path) == math.inf


@pytest.mark.parametrize(("quota", "usable", "workers"), [(math.inf, 6, 5), (2.5, 3, 2), (0.3, 1, 0)])
def test_cores__limit_the_loading_processes(monkeypatch, quota, usable, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(cpu, "cpu_quota", lambda: quota)
    assert cpu.usable_cores() == usable
    assert default_workers(1) == workers


@pytest.fixture
def threads(monkeypatch):
    """Let torch have four threads on a machine of two cores; the number of before comes back."""
    before = torch.get_num_threads()
    monkeypatch.setattr(devices, "usable_cores", lambda: 2)
    torch.set_num_threads(4)
    yield torch.get_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("value", ["3", "4,2", " 3 "])
def test_threads__of_a_valid_variable_are_left_alone(threads, monkeypatch, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert devices.limit_threads() == {}
    assert threads() == 4


@pytest.mark.parametrize("value", ["abc", "0", "-3", "", "2,x", "²"])
def test_threads__of_an_invalid_variable_follow_the_quota_with_one_warning(threads, monkeypatch, capsys, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert devices.limit_threads() == {"OMP_NUM_THREADS": "2"}
    assert threads() == 2
    assert devices.limit_threads() == {}
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"warning: OMP_NUM_THREADS: must be a whole number from 1 on, got {value!r}; ignored, as if it were not set"
    )


def test_threads__without_the_variable_are_the_cores_of_each_process(threads, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert devices.limit_threads(2) == {"OMP_NUM_THREADS": "1"}
    assert threads() == 1
    assert capsys.readouterr().err == ""
