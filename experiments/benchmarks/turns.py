"""Two trainings in two processes that take turns, epoch by epoch, so that each has the machine to itself.

A process that takes part says `ready` before each epoch and waits for a byte; after the epoch it tells its seconds. The
standard library is all it takes, since the other side may be another framework in an environment of its own.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

GO, TELL = "TURNS_GO", "TURNS_TELL"
"""Names of the variables that hold the file descriptors."""


def wait_for_turn() -> None:
    """Say that one is ready, and wait until one is told to go.

    Raises:
        SystemExit: If the benchmark is no more.
    """
    tell("ready")
    if not os.read(int(os.environ[GO]), 1):
        sys.exit("the benchmark has ended")


def tell(text: str) -> None:
    """Tell the benchmark."""
    os.write(int(os.environ[TELL]), f"{text}\n".encode())


@dataclass
class Side:
    """One of the two.

    Args:
        command: Its command line.

    Attributes:
        seconds: Of each epoch.
        told: What it told beside that, by its first word.
    """

    command: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)

    def start(self, cwd: str, environment: dict[str, str]) -> None:
        """Start it; it waits for its first turn.

        Args:
            cwd: Where.
            environment: More variables.
        """
        go, self._go = os.pipe()
        tell, told = os.pipe()
        # a pipe that nobody reads meanwhile would be full one day
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `end`
        pipes = {GO: str(go), TELL: str(told)}
        self._process: Any = subprocess.Popen(
            self.command,
            cwd=cwd,
            env={**os.environ, **environment, **pipes},
            pass_fds=(go, told),
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        os.close(go), os.close(told)
        self._lines = os.fdopen(tell)

    def until_ready(self) -> bool:
        """Listen until it waits for its turn; False once it has ended.

        Raises:
            SystemExit: If it fails.
        """
        for line in self._lines:
            word, _, rest = line.strip().partition(" ")
            if word == "ready":
                return True
            if word == "epoch":
                self.seconds.append(float(rest))
            else:
                self.told[word] = rest
        if self._process.wait():
            self._errors.seek(0)
            sys.exit(f"{' '.join(self.command)}\n{self._errors.read()}")
        return False

    def go(self) -> None:
        """It is its turn."""
        # one that has died meanwhile is heard of in `until_ready`
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go, b"!")

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        os.close(self._go)
        self._lines.close(), self._errors.close()


def take_turns(sides: Sequence[Side], cwd: str, environment: dict[str, str]) -> None:
    """Let each train an epoch in turn, its validation included, until all have ended; where one fails, all end."""
    with contextlib.ExitStack() as stack:
        for side in sides:
            side.start(cwd, environment)
            stack.callback(side.end)
            # one after the other: a start takes all cores
            side.until_ready()
        waiting = list(sides)
        while waiting:
            for side in list(waiting):
                side.go()
                if not side.until_ready():
                    waiting.remove(side)
