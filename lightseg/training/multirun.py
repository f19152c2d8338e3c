"""Series of runs of one command, at several seeds, on several folds of the data, or both."""

import argparse
import contextlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from lightseg.cli.argv import option_values, text_option
from lightseg.config.compose import chain, read
from lightseg.distributed import environment
from lightseg.distributed.exit_codes import signal_name
from lightseg.errors import ConfigError, LightsegError, require
from lightseg.files.printable import printable
from lightseg.runs.records import is_finished

_FOLD_OPTIONS = tuple(f"--data.{scope}{name}" for scope in ("", "init_args.") for name in ("folds", "fold"))


_MOST_RUNS = 10_000
"""Limit of the runs of a series; more are a mistake, and their commands would fill the memory."""


class RepeatError(LightsegError):
    """Failure or stop of a run, after which the rest of the series is not started.

    Args:
        message: The finished runs, and the command that resumes the series.
        exit_code: The exit code of the run.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def repeat(args: list[str]) -> list[str]:
    """Run `lightseg.fit` for every seed and fold, each in a separate process.

    Args:
        args: The command line, with `--seeds`, `--folds` or both.

    Returns:
        The finished run folders; none where the command only prints or tries something.

    Raises:
        ConfigError: If the options contradict each other.
        RepeatError: If a run fails or is stopped; the message has the command that resumes the series.
    """
    variants, rest = _parse(args)
    _require_one_process(os.environ)
    recipes = option_values(rest, "-c", "--config")
    name = text_option(rest, "name") or (chain(recipes[0])[-1].stem if recipes else "fit")
    group = text_option(args, "group") or f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    commands = [["-m", "lightseg.fit", *rest, *variant, "--group", group] for variant in variants]
    runs = Path(text_option(rest, "runs_dir") or "runs") / name
    with _SignalForwarder() as forwarder:
        for number, command in enumerate(commands):
            before = _in_group(runs, group)
            earlier = _find_run(command, before)
            is_done = earlier is not None and is_finished(earlier)
            state = f"{'is finished' if is_done else 'goes on'} in {earlier}" if earlier else f"group {group}"
            line = f"run {number + 1} of {len(commands)}: {' '.join(variants[number])}, {state}"
            print(printable(line), flush=True)
            if is_done:
                continue
            if earlier is not None:
                command = ["-m", "lightseg.fit", "--resume", str(earlier)]
            if code := forwarder.run([sys.executable, *command], _keep_precision(before)):
                finished = [str(folder) for folder in _in_group(runs, group) if is_finished(folder)]
                again = ["-m", "lightseg.fit", *args, *([] if "--group" in args else ["--group", group])]
                raise RepeatError(_describe_stop(code, again, finished, bool(_in_group(runs, group))), code)
    return [str(folder) for folder in _in_group(runs, group) if is_finished(folder)]


def _parse(args: list[str]) -> tuple[list[list[str]], list[str]]:
    """Return the options of each run, and the rest of the command line."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--seeds", type=_parse_seeds)
    parser.add_argument("--folds", type=_parse_folds)
    # removed here, and added to the command of each run
    parser.add_argument("--group")
    series, rest = parser.parse_known_args(args)
    require(
        not option_values(rest, "--resume"),
        "--resume goes on with one run; leave out --seeds and --folds, then start the runs that are missing",
    )
    require(
        series.seeds is None or not option_values(rest, "--seed_everything"),
        "give --seeds or --seed_everything, not both",
    )
    require(series.folds is None or not option_values(rest, *_FOLD_OPTIONS), "give --folds or --data.fold, not both")
    seeds = [[]] if series.seeds is None else [["--seed_everything", str(seed)] for seed in series.seeds]
    runs = len(series.seeds or [0]) * (series.folds or 1)
    require(runs <= _MOST_RUNS, f"--seeds, --folds: {runs:,} runs, one after another; give {_MOST_RUNS:,} at most")
    folds = [["--data.folds", str(series.folds), "--data.fold", str(fold)] for fold in range(series.folds or 0)] or [[]]
    return [[*seed, *fold] for seed in seeds for fold in folds], rest


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise the message of argparse as a `ConfigError`."""
        raise ConfigError(message.removeprefix("argument "))


def _parse_seeds(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words) or len({int(word) for word in words}) < len(words):
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers from 0 on, each once, such as 0,1,2")
    return [int(word) for word in words]


def _parse_folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: give a number of folds from 2 on, such as 5")
    return int(text)


def _require_one_process(environment: Mapping[str, str]) -> None:
    """Check that no launcher has started several processes, each of which would start all runs."""
    for launcher, variable in (("torchrun", "WORLD_SIZE"), ("SLURM", "SLURM_NTASKS")):
        processes = environment.get(variable, "1")
        require(
            processes == "1",
            f"--seeds, --folds: {launcher} has started {processes} processes, and each would begin all of the runs; "
            "start every run as a job of its own (--seed_everything N --group NAME, --data.folds K --data.fold N)",
        )


def _in_group(runs: Path, group: str) -> list[Path]:
    """Return the run folders of a group, oldest first."""
    return [file.parent for file in sorted(runs.glob("*/config.yaml")) if _group(file) == group]


def _keep_precision(folders: Sequence[Path]) -> dict[str, str]:
    """Return the variable that keeps the precision of the first run of a series in all its runs."""
    trainer = read(folders[0] / "config.yaml").get("trainer") if folders else None
    precision = trainer.get("precision") if isinstance(trainer, dict) else None
    return {environment.PRECISION: f"{precision}:as in the first run of the series"} if precision else {}


def _group(config: Path) -> Any:
    """Return the group of a run; None if its config cannot be read, such as that of a damaged older run."""
    try:
        return read(config).get("group")
    except ConfigError:
        return None


def _find_run(command: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """Return the newest of some run folders that was started by exactly this command; None if there is none."""
    text = shlex.join(["python", *command])
    for folder in reversed(folders):
        file = folder / "command.txt"
        if file.exists() and file.read_text(encoding="utf-8").strip() == text:
            return folder
    return None


def _describe_stop(code: int, command: Sequence[str], finished: Sequence[str], has_begun: bool) -> str:
    """Return the message about a stopped series: its finished runs, and the command that resumes it.

    Args:
        code: The exit code of the last run.
        command: The command of the series, with its group.
        finished: The folders of its finished runs.
        has_begun: Whether any run of the series has a folder.
    """
    if code == 2 and not has_begun:
        return "so none of the runs has begun; mend that, and give the command again"
    name = signal_name(code - 128)
    outcome = f"was stopped by {name}" if name else f"ended with exit code {code}"
    folders = "\n".join(f"  {folder}" for folder in finished or ["none"])
    return f"a run {outcome}; finished:\n{folders}\ngo on with: {shlex.join(['python', *command])}"


class _SignalForwarder:
    """Runner of commands that forwards the signals of this process to the command.

    Attributes:
        received: The first signal; 0 if none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._pending: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
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
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command, with more environment variables; return its exit code, or 128 + signal if one ended it."""
        if self.received:
            return 128 + self.received
        # in a separate process group, since Ctrl-C in a terminal would reach it twice, which ends it at once
        self._child = subprocess.Popen(command, process_group=0, env={**os.environ, **environment})
        self._deliver()
        code = self._child.wait()
        self._child = None
        return 128 + self.received if self.received else 128 - code if code < 0 else code

    def _forward(self, received: int, _frame: FrameType | None) -> None:
        self.received = self.received or received
        self._pending.append(received)
        self._deliver()

    def _deliver(self) -> None:
        """Send each signal once, including one that arrived while the command was starting."""
        with contextlib.suppress(IndexError):
            while self._child is not None:
                self._child.send_signal(self._pending.pop())
