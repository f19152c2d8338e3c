"""Processor: its name, and the number of cores for this process by affinity mask, control groups and series."""

import hashlib
import math
import os
import platform
from pathlib import Path, PurePosixPath

from lightseg.distributed import environment

OMP_THREADS = "OMP_NUM_THREADS"


def usable_cores() -> int:
    """Return the number of cores, at least 1; `os.cpu_count` ignores the limits of a container.

    A run of a series has its share of them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = int(os.environ.get(environment.CORES, cores))
    return max(1, math.ceil(min(cores, share, cpu_quota())))


def openmp_threads() -> int | None:
    """Return the threads that `OMP_NUM_THREADS` sets: a number, or one for each level, as in `4,2`; None without it."""
    counts = [count.strip() for count in os.environ.get(OMP_THREADS, "").split(",")]
    is_valid = all(count.isascii() and count.isdecimal() and int(count) > 0 for count in counts)
    return int(counts[0]) if is_valid else None


def processor_name() -> str:
    """Return the processor's name, such as `AMD EPYC 7763 64-Core Processor`, or its architecture if unknown."""
    line = _cpuinfo_line("model name")
    return line.partition(":")[2].strip() or platform.processor() or platform.machine()


def instruction_set() -> str:
    """Return a hash of the processor's instruction set flags; empty if unknown."""
    line = _cpuinfo_line("flags", "Features")
    return hashlib.sha256(line.encode()).hexdigest()[:8] if line else ""


def cpu_quota(root: Path = Path("/")) -> float:
    """Return the CPU quota of this process's control groups, in cores; infinity without a limit.

    Args:
        root: Folder that holds `proc` and `sys`.

    Source: Linux kernel, admin-guide/cgroup-v2.rst (`cpu.max`) and scheduler/sched-bwc.rst (`cpu.cfs_quota_us`).
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    quotas = [math.inf]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            # limits of parent groups apply too; inside a container the group is mounted as the root
            groups = [group.relative_to("/") for group in (PurePosixPath(path), *PurePosixPath(path).parents)]
            mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
            quotas += [_quota(mount / group) for group in groups if ".." not in group.parts]
    return min(quotas)


def _cpuinfo_line(*keys: str) -> str:
    """Return the first line of `/proc/cpuinfo` that begins with one of the keys; empty where there is none."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith(keys)), "")


def _quota(group: Path) -> float:
    """Return the quota of one control group, of version 2 or 1; infinity where it has none."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / name).read_text(encoding="utf-8") for name in names).split()
            return int(quota) / int(period) if quota not in ("max", "-1") else math.inf
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return math.inf
