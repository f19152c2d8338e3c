"""Trainings in processes of their own that take turns, so that each has the machine to itself.

A process that takes part reports `ready` and reads how many steps (or epochs) it is to train next; when these are done
it reports `turn SECONDS`. 0 asks it to end. The standard library is all it takes, since a side may be another framework
in an environment of its own.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

REQUESTS, REPORTS = "TURNS_REQUESTS", "TURNS_REPORTS"
"""Environment variables that hold the file descriptors of the two pipes."""

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

SECONDS = 5.0
"""Length of a turn at which steps are counted."""


def wait_for_turn() -> int:
    """Report readiness and return the number of steps to train; 0 asks for the end.

    Raises:
        SystemExit: If the benchmark has ended.
    """
    report("ready")
    request = os.read(int(os.environ[REQUESTS]), 32)
    if not request:
        sys.exit("the benchmark has ended")
    return int(request)


def report(text: str) -> None:
    """Send a line to the benchmark."""
    os.write(int(os.environ[REPORTS]), f"{text}\n".encode())


@dataclass
class Side:
    """A process that takes part.

    Args:
        command: Its command line.
        environment: Variables beside those of this process.

    Attributes:
        seconds: Of each turn.
        facts: Its other reports, by their first word.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start the process; it gets ready and waits for its first turn."""
        request_end, self._requests = os.pipe()
        reports, report_end = os.pipe()
        # a file, since a pipe that is not read meanwhile fills up
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `end`
        variables = {"PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}", REQUESTS: str(request_end), REPORTS: str(report_end)}
        self._process: Any = subprocess.Popen(
            self.command,
            cwd=HERE,
            env={**os.environ, **variables, **self.environment},
            pass_fds=(request_end, report_end),
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        os.close(request_end), os.close(report_end)
        self._reports = os.fdopen(reports)

    def is_ready(self) -> bool:
        """Read reports until the process waits for a turn; False once it has ended.

        Raises:
            RuntimeError: If it fails.
        """
        for line in self._reports:
            word, _, rest = line.strip().partition(" ")
            if word == "ready":
                return True
            if word == "turn":
                self.seconds.append(float(rest))
            else:
                self.facts[word] = rest
        if self._process.wait():
            self._errors.seek(0)
            raise RuntimeError(f"{' '.join(self.command)}\n{self._errors.read()}")
        return False

    def request(self, steps: int) -> None:
        """Give the process its turn."""
        # the death of a process is reported by `is_ready`
        with contextlib.suppress(BrokenPipeError):
            os.write(self._requests, f"{steps}\n".encode())

    def train(self, steps: int) -> float:
        """Give the process a turn of some steps and return the seconds that it took.

        Raises:
            RuntimeError: If it fails, or ends early.
        """
        self.request(steps)
        if not self.is_ready():
            raise RuntimeError(f"{' '.join(self.command)}: ended before its turns were over")
        return self.seconds[-1]

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        os.close(self._requests)
        self._reports.close(), self._errors.close()


@contextlib.contextmanager
def started(sides: Sequence[Side]) -> Iterator[None]:
    """Start all sides, wait until they are ready, and end them afterwards."""
    with contextlib.ExitStack() as stack:
        for side in sides:
            side.start()
            stack.callback(side.end)
        for side in sides:
            side.is_ready()
        yield


def train_epochs(sides: Sequence[Side], seconds: float) -> None:
    """Let each side train an epoch in turn until all have ended; ask for the end before a round would exceed `seconds`.

    There are two rounds at least, since the first warms up.

    Raises:
        RuntimeError: If a side fails.
    """
    start = time.perf_counter()
    with started(sides):
        waiting, round_start = list(sides), time.perf_counter()
        while waiting:
            for side in list(waiting):
                side.request(1)
                if not side.is_ready():
                    waiting.remove(side)
            now = time.perf_counter()
            if now + (now - round_start) > start + seconds and all(len(side.seconds) > 1 for side in sides):
                break
            round_start = now
        for side in waiting:
            side.request(0)
            while side.is_ready():
                side.request(0)


def step_rates(
    sides: Sequence[Side], pairs: int, seconds: float, turn: float = SECONDS, settle: int = 1, fresh: bool = False
) -> Iterator[list[float]]:
    """Yield the steps per second of each side, once for each repetition; all sides train equally many steps.

    Args:
        sides: Commands that never end by themselves.
        pairs: Repetitions, fewer where the next would exceed `seconds`, but one at least.
        seconds: Time for everything.
        turn: Seconds that a turn of the slowest side is to take; the number of steps follows from a first measurement.
        settle: Steps at the start of each turn that do not count: a loader runs ahead while its side waits.
        fresh: Whether each repetition has new processes, so that the luck of a process is averaged too.

    Raises:
        RuntimeError: If a side fails.
    """
    start = time.monotonic()
    with started(sides):
        steps = _choose_steps(sides, turn)
        if not fresh:
            yield from within(seconds, start, pairs, lambda: _rates(sides, steps, settle))
    if fresh:
        yield from within(seconds, start, pairs, lambda: _fresh_rates(sides, steps, settle))


def _choose_steps(sides: Sequence[Side], turn: float) -> int:
    """Warm all sides up and return how many steps the slowest does in `turn` seconds, two at least."""
    steps = 2
    for side in sides:
        side.train(steps)
    while (slowest := max(side.train(steps) for side in sides)) < turn / 4:
        steps *= 4
    return max(2, round(steps * turn / slowest))


def _rates(sides: Sequence[Side], steps: int, settle: int) -> list[float]:
    rates = []
    for side in sides:
        if settle:
            side.train(settle)
        rates.append(steps / side.train(steps))
    return rates


def _fresh_rates(sides: Sequence[Side], steps: int, settle: int) -> list[float]:
    with started(sides):
        for side in sides:
            side.train(2 + steps // 4)
        return _rates(sides, steps, settle)


def within(seconds: float, start: float, pairs: int, measure: Callable[[], T]) -> Iterator[T]:
    """Yield measurements in pairs, fewer where the next would end later than `seconds` after `start`; one at least.

    Args:
        seconds: Time for everything.
        start: When it began, by `time.monotonic`.
        pairs: Measurements at most.
        measure: Makes one.
    """
    for _ in range(pairs):
        begin = time.monotonic()
        yield measure()
        now = time.monotonic()
        if now + (now - begin) > start + seconds:
            break
