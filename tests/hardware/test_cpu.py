"""Cores that a process may use: the affinity mask and the quotas of control groups."""

import math
import os

import pytest

from lightseg.data.loading.collate import default_workers
from lightseg.hardware import cpu


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
