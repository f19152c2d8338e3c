"""Progress of a series: one line per run, and one for all of them."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightseg.cli.entry import ERROR
from lightseg.config.compose import show
from lightseg.distributed.exit_codes import signal_name
from lightseg.errors import UserError
from lightseg.files.names import METRICS
from lightseg.files.printable import format_duration, printable, printable_line
from lightseg.runs.records import read_record
from lightseg.runs.series import RunGroup
from lightseg.series.pool import NEW_PROCESS

_TAIL = 2**13
"""Bytes at the end of an output in which its last line is looked for."""

_STATUS = ("lightseg ", "epoch ", "scoring ", "--find ")
"""Beginnings of the lines that say how far a run is; warnings and tables come between them."""

_WAIT, _SHARE = 30.0, 1 / 15
"""Seconds without lines on a stream that is no terminal, or this share of the time so far, if that is more."""


class Progress:
    """Lines about runs, which a terminal shows anew each second.

    Args:
        series: The runs.
        jobs: Number of runs at the same time.
        failed: Number of runs that failed before and are not run again.
        pruned: Number of runs that were pruned before.
    """

    def __init__(self, series: RunGroup, jobs: int, failed: int = 0, pruned: int = 0) -> None:
        self._series, self._jobs = series, jobs
        self._start = self._last_lines = time.monotonic()
        self._starts: dict[int, float] = {}
        self._seconds: list[float] = []
        self._live: Live | None = None
        self._failed, self._pruned, self._waiting = failed, pruned, 0

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=True)
            self._live.start()
            # a killed process would leave the terminal without one
            self._live.console.show_cursor(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def begin(self, index: int, is_resumed: bool) -> None:
        """Print that a run begins."""
        self._starts[index] = time.monotonic()
        verb = "goes on" if is_resumed else "begins"
        self._print(f"{self._series.label(index)}: {verb}, output in {show(self._series.output(index))}")

    def end(self, index: int, code: int) -> None:
        """Print how a run has ended.

        Args:
            index: Number of the run.
            code: Its exit code.
        """
        seconds = time.monotonic() - self._starts.pop(index)
        label = self._series.label(index)
        if code:
            self._failed += 1
            self._print(f"{label}: {describe_failure(self._series, index, code)}")
            return
        self._seconds.append(seconds)
        self._print(f"{label}: finished in {format_duration(seconds)}{_score(self._series.run_folders[index])}")

    def prune(self, index: int) -> None:
        """Print that a run was stopped since others are better."""
        del self._starts[index]
        self._pruned += 1
        self._print(f"{self._series.label(index)}: pruned")

    def update(self, waiting: int) -> None:
        """Show the last line of each running run, and the counts of all, where it is time for that.

        Args:
            waiting: Number of runs that have not begun.
        """
        self._waiting = waiting
        now = time.monotonic()
        wait = 1.0 if self._live else max(_WAIT, _SHARE * (now - self._start))
        if now - self._last_lines < wait:
            return
        self._last_lines = now
        lines = [f"{self._series.label(index)}: {status_line(self._series, index)}" for index in sorted(self._starts)]
        if self._live:
            # the lines of a killed process remain on the terminal, so that they state their time
            text = printable("\n".join([*lines, f"at {time.strftime('%H:%M:%S')}: {self._summary()}"]))
            self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            print(printable("\n".join([*lines, self._summary()])), flush=True)

    def _summary(self) -> str:
        """Return the line on all runs: `3 of 12 runs finished, 2 running; 5 min so far, about 20 min left`."""
        number, running = self._series.number, len(self._starts)
        finished = number - self._failed - self._pruned - self._waiting - running
        counts = {"failed": self._failed, "pruned": self._pruned}
        parts = [f"{finished} of {number} runs finished"]
        parts += [*(f"{count} {state}" for state, count in counts.items() if count), f"{running} running"]
        now = time.monotonic()
        text = f"{', '.join(parts)}; {format_duration(now - self._start)} so far"
        if not self._seconds:
            return text
        mean = sum(self._seconds) / len(self._seconds)
        seconds_left = sum(max(0.0, mean - (now - start)) for start in self._starts.values()) + mean * self._waiting
        # a run that takes longer than those before may take any time
        return f"{text}, about {format_duration(seconds_left / self._jobs)} left" if seconds_left else text

    def _print(self, line: str) -> None:
        if self._live:
            self._live.console.print(Text(printable(line)))
        else:
            print(printable(line), flush=True)


def describe_failure(series: RunGroup, index: int, code: int) -> str:
    """Return how a run with an exit code other than 0 has ended, and the last line of its output.

    Args:
        series: The runs.
        index: Number of the run.
        code: The exit code.
    """
    name = signal_name(code - 128)
    outcome = f"ended by {name}" if name else f"failed with exit code {code}"
    return f"{outcome}: {last_line(series, index)}"


def error_text(series: RunGroup, index: int) -> str:
    """Return the message of a run whose last process has failed; empty if it left none."""
    _, mark, message = _read_tail(series.output(index)).rpartition(ERROR)
    return printable(message.strip()) if mark else ""


def last_line(series: RunGroup, index: int) -> str:
    """Return the first line of a run's error, else the last line of its output."""
    if message := error_text(series, index):
        return message.splitlines()[0]
    return _lines(series, index)[-1]


def status_line(series: RunGroup, index: int) -> str:
    """Return the last line of a running run that says how far it is, else what `last_line` returns."""
    states = [line for line in _lines(series, index) if line.startswith(_STATUS)]
    return states[-1] if states and not error_text(series, index) else last_line(series, index)


def _lines(series: RunGroup, index: int) -> list[str]:
    """Return the lines at the end of an output, at least one."""
    lines = [line for line in map(printable_line, _read_tail(series.output(index)).splitlines()) if line]
    return lines or ["no output yet"]


def _read_tail(path: Path) -> str:
    """Return the end of an output, as far as it is that of the last process of the run."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace").rpartition(NEW_PROCESS)[2]
    except OSError:
        return ""


def _score(folder: Path) -> str:
    """Return the score of a finished run as the end of a line; empty where its metrics cannot be read."""
    try:
        metrics = read_record(folder / METRICS)
    except UserError:
        return ""
    scores = {split: metrics.get(f"{split}/score") for split in ("val", "test")}
    return "".join(f", {split} score {score:.4f}" for split, score in scores.items() if score is not None)
