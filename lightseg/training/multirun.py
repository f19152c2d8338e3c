"""Several runs of one command, one after another: at several seeds, on several folds of the data, or both."""

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

from lightseg.cli.argv import stated, values
from lightseg.config.compose import chain, read
from lightseg.distributed import environment as variables
from lightseg.errors import ConfigError, LightsegError, require

_FOLD_OPTIONS = tuple(f"--data.{scope}{name}" for scope in ("", "init_args.") for name in ("folds", "fold"))


_MOST_RUNS = 10_000
"""Runs of a series; more are a slip, and their commands alone would fill the memory."""


class RepeatError(LightsegError):
    """A run did not end well, and those behind it were not begun.

    Args:
        message: What is done, and what is to do.
        exit_code: That of the run.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def repeat(args: list[str]) -> list[str]:
    """Run `lightseg.fit` for every seed and fold, each in a process of its own.

    Args:
        args: The command line, with `--seeds`, `--folds` or both.

    Returns:
        The finished run folders; none where the command was only to print or to try something.

    Raises:
        ConfigError: If the options contradict each other.
        RepeatError: If a run fails or is stopped; the message says how to go on.
    """
    variants, rest = _read(args)
    _require_one_process(os.environ)
    recipes = values(rest, "-c", "--config")
    name = stated(rest, "name") or (chain(recipes[0])[-1].stem if recipes else "fit")
    group = stated(args, "group") or f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    commands = [["-m", "lightseg.fit", *rest, *variant, "--group", group] for variant in variants]
    runs = Path(stated(rest, "runs_dir") or "runs") / name
    with _Forwarding() as forwarding:
        for number, command in enumerate(commands):
            before = _in_group(runs, group)
            earlier = _begun_by(command, before)
            is_done = earlier is not None and _is_finished(earlier)
            state = f"{'is finished' if is_done else 'goes on'} in {earlier}" if earlier else f"group {group}"
            print(f"run {number + 1} of {len(commands)}: {' '.join(variants[number])}, {state}", flush=True)
            if is_done:
                continue
            if earlier is not None:
                command = ["-m", "lightseg.fit", "--resume", str(earlier)]
            if code := forwarding.run([sys.executable, *command], _same_precision(before)):
                finished = [str(folder) for folder in _in_group(runs, group) if _is_finished(folder)]
                again = ["-m", "lightseg.fit", *args, *([] if "--group" in args else ["--group", group])]
                raise RepeatError(_how_to_go_on(code, again, finished, bool(_in_group(runs, group))), code)
    return [str(folder) for folder in _in_group(runs, group) if _is_finished(folder)]


def _read(args: list[str]) -> tuple[list[list[str]], list[str]]:
    """The options that each run has of its own, and the rest of the command line."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--seeds", type=_seeds)
    parser.add_argument("--folds", type=_folds)
    # handed to each run with the others' options
    parser.add_argument("--group")
    own, rest = parser.parse_known_args(args)
    require(
        not values(rest, "--resume"),
        "--resume goes on with one run; leave out --seeds and --folds, then start the runs that are missing",
    )
    require(own.seeds is None or not values(rest, "--seed_everything"), "give --seeds or --seed_everything, not both")
    require(own.folds is None or not values(rest, *_FOLD_OPTIONS), "give --folds or --data.fold, not both")
    seeds = [[]] if own.seeds is None else [["--seed_everything", str(seed)] for seed in own.seeds]
    runs = len(own.seeds or [0]) * (own.folds or 1)
    require(runs <= _MOST_RUNS, f"--seeds, --folds: {runs:,} runs, one after another; give {_MOST_RUNS:,} at most")
    folds = [["--data.folds", str(own.folds), "--data.fold", str(fold)] for fold in range(own.folds or 0)] or [[]]
    return [[*seed, *fold] for seed in seeds for fold in folds], rest


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit with."""
        raise ConfigError(message.removeprefix("argument "))


def _seeds(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words) or len({int(word) for word in words}) < len(words):
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers from 0 on, each once, such as 0,1,2")
    return [int(word) for word in words]


def _folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: give a number of folds from 2 on, such as 5")
    return int(text)


def _require_one_process(environment: Mapping[str, str]) -> None:
    """See that no launcher has started several processes, each of which would begin all of the runs."""
    for launcher, variable in (("torchrun", "WORLD_SIZE"), ("SLURM", "SLURM_NTASKS")):
        processes = environment.get(variable, "1")
        require(
            processes == "1",
            f"--seeds, --folds: {launcher} has started {processes} processes, and each would begin all of the runs; "
            "start every run as a job of its own (--seed_everything N --group NAME, --data.folds K --data.fold N)",
        )


def _in_group(runs: Path, group: str) -> list[Path]:
    """The run folders of a group, in the order in which they were made."""
    return [file.parent for file in sorted(runs.glob("*/config.yaml")) if _group(file) == group]


def _same_precision(begun: Sequence[Path]) -> dict[str, str]:
    """Return the variable that lets `auto` stand for the same in every run of a series, as in its first."""
    trainer = read(begun[0] / "config.yaml").get("trainer") if begun else None
    precision = trainer.get("precision") if isinstance(trainer, dict) else None
    return {variables.PRECISION: f"{precision}:as in the first run of the series"} if precision else {}


def _group(config: Path) -> Any:
    """The group in a run's config; none where it cannot be read, as of an older run that was damaged."""
    try:
        return read(config).get("group")
    except ConfigError:
        return None


def _is_finished(folder: Path) -> bool:
    return (folder / "metrics.json").exists()


def _begun_by(command: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """Return the newest of some run folders that was begun by just this command; None if there is none."""
    text = shlex.join(["python", *command])
    for folder in reversed(folders):
        begun = folder / "command.txt"
        if begun.exists() and begun.read_text(encoding="utf-8").strip() == text:
            return folder
    return None


def _how_to_go_on(code: int, command: Sequence[str], finished: Sequence[str], has_begun: bool) -> str:
    """What is done, and the command that does the rest.

    Args:
        code: The exit code of the run that was the last.
        command: The command of the series, which goes on where its group is.
        finished: The folders of its finished runs.
        has_begun: Whether any run of the series has come to a folder.
    """
    if code == 2 and not has_begun:
        return "so none of the runs has begun; mend that, and give the command again"
    how = f"was stopped by {signal.Signals(code - 128).name}" if code > 128 else f"ended with exit code {code}"
    listed = "\n".join(f"  {folder}" for folder in finished or ["none"])
    return f"a run {how}; finished:\n{listed}\ngo on with: {shlex.join(['python', *command])}"


class _Forwarding:
    """Runs commands; a signal to this process goes to the command instead, which ends in order.

    Attributes:
        received: The first signal; 0 if none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._pending: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            # what nohup, or a shell for its background, has turned off stays so
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command, with more environment variables; return its exit code, 128 + signal where one ended it."""
        if self.received:
            return 128 + self.received
        # in a group of its own: from a terminal, Ctrl-C would reach it a second time, which ends it at once
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
        """Send each signal once, also one that came while the command was being started."""
        with contextlib.suppress(IndexError):
            while self._child is not None:
                self._child.send_signal(self._pending.pop())
