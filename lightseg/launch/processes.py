"""Processes of a run on one machine, with the environment variables by which torchrun numbers them."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lightseg.distributed import environment
from lightseg.errors import UserError

_GRACE = 30.0
"""Seconds for the other processes to end after one has failed, as torchrun gives them."""


class Place(NamedTuple):
    """Place of a machine among those of a run.

    Attributes:
        node: Number of the machine.
        nodes: Machines of the run.
        processes: Processes of each machine.
        address: Address of the first machine.
        port: Port of the first process, by which the others find it.
    """

    node: int
    nodes: int
    processes: int
    address: str
    port: int

    def variables(self, local_rank: int) -> dict[str, str]:
        """Return the environment variables of a process, by which Lightning takes torchrun as its launcher."""
        numbers = {
            "RANK": self.node * self.processes + local_rank,
            "LOCAL_RANK": local_rank,
            "GROUP_RANK": self.node,
            "WORLD_SIZE": self.nodes * self.processes,
            "LOCAL_WORLD_SIZE": self.processes,
            "MASTER_PORT": self.port,
        }
        variables = {name: str(number) for name, number in numbers.items()}
        return {**variables, "MASTER_ADDR": self.address, "TORCHELASTIC_RUN_ID": f"{self.address}:{self.port}"}


class Processes:
    """Processes that run one command, and end with this one.

    Args:
        command: The command.
        variables: Environment variables of each process, beside those of this one.
        folder: Their working directory.
    """

    def __init__(self, command: Sequence[str], variables: Sequence[Mapping[str, str]], folder: Path) -> None:
        shared = {**os.environ, environment.LAUNCHER_PROCESS: str(os.getpid())}
        self._processes = [subprocess.Popen(command, env={**shared, **added}, cwd=folder) for added in variables]
        self._failure = 0
        self._deadline = float("inf")

    def poll(self) -> int | None:
        """Return the exit code once all processes have ended: that of one that had failed first; None before.

        The others are killed if they hang after a failure.
        """
        codes = [process.poll() for process in self._processes]
        if not self._failure and any(codes):
            # bad input first: to start again would not help
            self._failure = max(filter(None, codes), key=lambda code: code == UserError.exit_code)
            self._deadline = time.monotonic() + _GRACE
        if time.monotonic() > self._deadline:
            self.kill()
        return None if None in codes else self._failure

    def stop(self) -> None:
        """Let the processes save the state of their run and stop."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the processes at once."""
        for process in self._processes:
            process.kill()
            process.wait()
