"""Processes of the runs at the same time, which receive the signals of this process."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from lightseg.distributed import environment

_STOP_SECONDS, _POLL = 60.0, 0.05
"""Seconds in which a run must save its state and end after an error, and between two looks at it."""

NEW_PROCESS = "lightseg: goes on in a new process\n"
"""Line between the output of a process and that of the next one of its run."""


class Pool:
    """Processes of runs, whose output goes to files; at its end, those that still run are stopped.

    Each then saves its state; a second Ctrl-C, or the end of a time limit, ends it at once.

    Attributes:
        received: Number of the first signal; 0 if none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._pending: list[int] = []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            # a signal that nohup or a shell ignores stays ignored
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._forward)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a signal that has not been delivered yet would be the second one
        self._pending.clear()
        for process in self._processes.values():
            process.terminate()
        limit = time.monotonic() + _STOP_SECONDS
        while self._processes:
            if time.monotonic() > limit:
                for process in self._processes.values():
                    process.kill()
            time.sleep(_POLL)
            self.collect()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, index: int, command: Sequence[str], variables: Mapping[str, str], output: Path) -> None:
        """Start a process.

        Args:
            index: Number of the run.
            command: The command.
            variables: More environment variables.
            output: File that the output is appended to.
        """
        with output.open("ab") as file:
            if file.tell():
                file.write(NEW_PROCESS.encode())
                file.flush()
            # in a separate process group, since Ctrl-C in a terminal would reach it twice, which ends it at once
            self._processes[index] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
                env={**os.environ, **variables, environment.SERIES_PROCESS: str(os.getpid())},
            )

    def stop(self, index: int) -> None:
        """Stop the process of a run, which saves its state first."""
        self._processes[index].terminate()

    def collect(self) -> dict[int, int]:
        """Deliver the signals that have arrived, and return the exit codes of the processes that have ended.

        The code of a process that a signal has ended is 128 + its number.
        """
        with contextlib.suppress(IndexError):
            while self._processes:
                received = self._pending.pop(0)
                for process in self._processes.values():
                    # by SIGUSR1, each run would queue the job again
                    process.send_signal(signal.SIGTERM if received == signal.SIGUSR1 else received)
        codes = {index: process.poll() for index, process in self._processes.items()}
        ended = {index: code if code >= 0 else 128 - code for index, code in codes.items() if code is not None}
        for index in ended:
            del self._processes[index]
        return ended

    def _forward(self, received: int, _frame: FrameType | None) -> None:
        self.received = self.received or received
        self._pending.append(received)
