"""Shares of the machine for runs at the same time: GPUs, cores and ports, as environment variables of each run."""

import os
import re
import socket
import subprocess
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from lightseg.cli.argv import trainer_option
from lightseg.distributed import environment
from lightseg.errors import require
from lightseg.files.printable import format_count
from lightseg.hardware.cpu import openmp_threads, usable_cores

VISIBLE_GPUS, _PORT = "CUDA_VISIBLE_DEVICES", "MASTER_PORT"


class Machine(NamedTuple):
    """Division of this machine between runs at the same time.

    Attributes:
        cores: Cores of each run; None where a run has all.
        gpus: GPUs of each of the runs at the same time; empty where a run takes those that it sees.
        processes: Processes of each run.
    """

    cores: int | None
    gpus: list[list[str]]
    processes: int

    @property
    def jobs(self) -> int:
        """Number of runs at the same time."""
        return len(self.gpus)

    def describe(self) -> str:
        """Return the division as text: `2 at a time, 4 cores each`."""
        parts = [f"{self.jobs} at a time"]
        if self.cores:
            parts.append(f"{format_count(self.cores, 'core')} each")
        if self.gpus[0]:
            parts.append(f"{format_count(len(self.gpus[0]), 'GPU')} each")
        return ", ".join(parts)

    def free_share(self, in_use: Collection["Share"]) -> "Share":
        """Return a share that no run has.

        Args:
            in_use: Shares of the other runs at the same time, less than `jobs`.
        """
        slot = min(set(range(self.jobs)) - {share.slot for share in in_use})
        variables = {environment.CORES: str(self.cores)} if self.cores else {}
        if self.gpus[slot]:
            variables[VISIBLE_GPUS] = ",".join(self.gpus[slot])
        # with a port, a LOCAL_RANK that is left over would count as that of a launcher
        if self.jobs > 1 and self.processes > 1 and "LOCAL_RANK" not in os.environ:
            variables[_PORT] = free_port([share.variables.get(_PORT) for share in in_use])
        return Share(slot, variables)


class Share(NamedTuple):
    """Share of the machine for one of the runs at the same time.

    Attributes:
        slot: Its number.
        variables: Environment variables by which a run keeps to it.
    """

    slot: int
    variables: dict[str, str]


def divide(arguments: Sequence[str], runs: int, jobs: int | None, cores: int | None = None) -> Machine:
    """Divide this machine between the runs of a series.

    Args:
        arguments: Arguments of `fit` that all runs share.
        runs: Number of runs.
        jobs: Number of runs at the same time; None for one on each GPU, or as many as the cores suffice for.
        cores: Cores of each run, as an earlier command has decided; None to decide now.

    Raises:
        ConfigError: If the runs would take the same GPUs.
    """
    devices = trainer_option(arguments, "devices")
    gpus = visible_gpus() if trainer_option(arguments, "accelerator") in (None, "auto", "gpu", "cuda") else []
    if gpus and _names_gpus(devices):
        require(
            jobs in (None, 1),
            f"--jobs: trainer.devices names GPUs ({devices}), which all runs at a time would take; give their number",
        )
        jobs = 1
    count = int(devices) if str(devices).isdecimal() and int(devices) > 0 else None
    processes = count or max(1, len(gpus) // (jobs or len(gpus) or 1))
    if jobs is None:
        each = cores or processes * (openmp_threads() or usable_cores())
        jobs = len(gpus) // processes if gpus else usable_cores() // each
    jobs = max(1, min(jobs, runs))
    if cores is None and jobs > 1:
        cores = max(1, usable_cores() // jobs)
    # a single run sees all GPUs, and takes as many as its recipe says
    parts = _share(gpus, jobs, processes) if jobs > 1 else [list[str]()]
    return Machine(cores, parts, processes)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them; none without an NVIDIA driver.

    Imports no torch, which takes seconds. A GPU that is divided (MIG) counts by its parts.
    """
    if (names := os.environ.get(VISIBLE_GPUS)) is not None:
        return [name.strip() for name in names.split(",") if name.strip() not in ("", "-1")]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    uuids = re.findall(r"\(UUID: ((?:GPU|MIG)-[\w/-]+)\)", listing)
    # the parts of a GPU follow it
    followers = [*uuids[1:], ""]
    is_divided = [uuid[:3] == "GPU" and after[:3] == "MIG" for uuid, after in zip(uuids, followers, strict=True)]
    return [uuid for uuid, divided in zip(uuids, is_divided, strict=True) if not divided]


def _names_gpus(devices: Any) -> bool:
    """Return whether `trainer.devices` has indices of GPUs instead of their number."""
    return isinstance(devices, list) or (isinstance(devices, str) and "," in devices)


def _share(gpus: Sequence[str], jobs: int, each: int) -> list[list[str]]:
    """Return the GPUs of each of the runs at the same time; more runs than there are GPUs for share them.

    Args:
        gpus: All GPUs.
        jobs: Number of runs at the same time.
        each: Number of GPUs of a run.
    """
    parts = [list(gpus[start : start + each]) for start in range(0, len(gpus) - each + 1, each)] or [[]]
    return [parts[slot % len(parts)] for slot in range(jobs)]


def free_port(in_use: Collection[str | None] = ()) -> str:
    """Return a port of this machine that no process listens at, other than those in use."""
    while True:
        with socket.socket() as connection:
            connection.bind(("", 0))
            port = str(connection.getsockname()[1])
        if port not in in_use:
            return port
