"""Series from start to end: its plan, its runs as processes, several at a time, and the report of those that fail."""

import hashlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lightseg.cli.argv import option_values, require_printable, text_option
from lightseg.cli.find_option import split_find
from lightseg.config.compose import chain, read, show
from lightseg.distributed import environment
from lightseg.errors import ConfigError, LightsegError, StoppedError, require
from lightseg.files.atomic import file_lock, locked
from lightseg.files.names import FINDINGS
from lightseg.files.printable import format_count, printable
from lightseg.runs import folder as run_folders
from lightseg.runs import scheduler
from lightseg.runs.records import is_finished
from lightseg.runs.series import Plan, RunGroup, Series, find_series, has_begun
from lightseg.series.machine import Machine, Share, divide
from lightseg.series.options import Request, parse
from lightseg.series.pool import Pool
from lightseg.series.progress import Progress, describe_failure, error_text

POLL = 0.1
"""Seconds between two looks at the processes."""

BAD_INPUT = 2
"""Exit code of a run that its input keeps from beginning."""

_LISTED = 20
"""Limit of the runs in a message."""


class SeriesError(LightsegError):
    """Failure of runs of a series, after the end of all of them.

    Args:
        message: The runs that failed, and the command that goes on with the series.
        exit_code: 2 if the first one failed by its input, else 1; no signal has stopped the series.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(args: Sequence[str]) -> tuple[Series, SeriesError | None]:
    """Run what is missing of a series: a new one, one that was stopped, or that of `--resume`.

    Args:
        args: The command line of `fit`.

    Returns:
        The series, and the failure of some of its runs.

    Raises:
        ConfigError: If the options contradict each other, or the input keeps the first run from beginning.
        StoppedError: If a signal stopped it.
    """
    require_one_process(os.environ, "--seeds, --folds, --grid")
    request = parse(args)
    series, machine = _open(request)
    busy = "another process runs this series; wait for its end, or give --group NAME for another series"
    with locked(series.folder, busy):
        _prepare(series)
        print(
            printable(f"series {show(series.folder)}: {describe_count(series, 'run')}, {machine.describe()}"),
            flush=True,
        )
        codes, received = _run_missing(series, machine)
        bad_input = [index for index, code in codes.items() if code == BAD_INPUT]
        if bad_input and series.first_begun() is None:
            message = error_text(series, bad_input[0]) or "the first run cannot begin"
            if request.resumed is None:
                run_folders.discard(series.folder)
            raise ConfigError(f"{message}\nso no run has begun; correct this, then repeat the command")
    if received and series.unfinished():
        if received == signal.SIGUSR1:
            scheduler.requeue()
        raise StoppedError(received, show(series.folder))
    return series, _describe_failures(series, codes) if codes else None


def _open(request: Request) -> tuple[Series, Machine]:
    """Return the series of a request: that of `--resume`, a stopped one of the same command, or a new one.

    Returns:
        The series, and the division of the machine between its runs.
    """
    if request.resumed is not None:
        return _divide_again(Series.read(request.resumed), request)
    require_printable([*request.arguments, *(value for options in request.runs for value in options.values())])
    runs_dir, name = find_place(request.arguments)
    run_folders.require_name(name)
    group = request.group or text_option(request.arguments, "group")
    recipe = hash_recipe(request.arguments)
    for earlier in find_series(Path(runs_dir).resolve() / name):
        plan = Plan(request.arguments, recipe, group or f"{name}-{earlier.stamp}", earlier.plan.cores, request.runs)
        # a group that is given is one series, even if that is finished
        if earlier.plan == plan and (group is not None or earlier.unfinished()):
            print(printable(f"goes on with {show(earlier.folder)}; for a new series give --group NAME"), flush=True)
            return _divide_again(earlier, request)
    stamp = run_folders.new_stamp()
    machine = divide(request.arguments, len(request.runs), request.jobs)
    plan = Plan(request.arguments, recipe, group or f"{name}-{stamp}", machine.cores, request.runs)
    return Series.create(runs_dir, name, plan, stamp), machine


def _divide_again(series: Series, request: Request) -> tuple[Series, Machine]:
    """Return an earlier series, and a division of the machine that leaves the cores of its runs as they are."""
    plan = series.plan
    return series, divide(plan.arguments, len(plan.runs), request.jobs, plan.cores)


def _prepare(series: Series) -> None:
    """Check that the runs of a series can go on, and remove the folders of those that were killed as they began.

    Raises:
        ConfigError: If a run that has not begun would be of another recipe, or in another place.
    """
    folders = [series.run_folders[index] for index in series.unfinished()]
    for folder in folders:
        wait_for_end(folder)
    if all(map(has_begun, folders)):
        return
    require_place(series.folder, series.plan.arguments)
    require(
        series.plan.recipe == hash_recipe(series.plan.arguments),
        f"--resume {show(series.folder)}: the recipe has changed, and runs are missing that would be of the new one; "
        "bring it back, or start a new series",
    )


def find_place(arguments: Sequence[str]) -> tuple[str, str]:
    """Return the folder that holds the folders of experiments, and the name of the experiment.

    Args:
        arguments: Arguments of `fit`.
    """
    recipes = option_values(arguments, "-c", "--config")
    name = text_option(arguments, "name") or (chain(recipes[0])[-1].stem if recipes else "fit")
    return text_option(arguments, "runs_dir") or "runs", name


def require_place(folder: Path, arguments: Sequence[str]) -> None:
    """Check that new runs would lie beside the folder of their series or search.

    Args:
        folder: The folder.
        arguments: Arguments of `fit` that all runs share, whose paths may be relative.

    Raises:
        ConfigError: If not.
    """
    runs_dir, name = find_place(arguments)
    place = (Path(runs_dir) / name).resolve()
    require(
        place == folder.parent,
        f"--resume {show(folder)}: its missing runs would be made in {place}, not beside it; go to the working "
        "directory that it was started in, or bring the folder back to its place",
    )


def wait_for_end(folder: Path) -> None:
    """Wait for a run that outlives the process that has started it, and remove its folder if it has not begun."""
    if not folder.is_dir():
        return
    # a run stops by itself after that process was killed; some file systems have no locks
    with suppress(OSError), file_lock(folder, f"{show(folder)}: is still training, or stopping; waiting for its end"):
        pass
    if not has_begun(folder):
        run_folders.discard(folder)


def _run_missing(series: Series, machine: Machine) -> tuple[dict[int, int], int]:
    """Run what is missing, several at a time.

    The first run begins alone: it finds out whether the input is right, and which precision is fast.

    Returns:
        The exit codes of the runs that failed, and the signal that stopped the series, or 0.
    """
    waiting, codes = deque(series.unfinished()), dict[int, int]()
    shares = dict[int, Share]()
    with Pool() as pool, Progress(series, machine.jobs) as progress:
        while shares or (waiting and not pool.received):
            while waiting and not pool.received and len(shares) < machine.jobs and (not shares or series.first_begun()):
                index = waiting.popleft()
                shares[index] = machine.free_share(shares.values())
                command, variables = _command(series, index)
                progress.begin(index, is_resumed=environment.RUN_NAME not in variables)
                pool.start(index, command, {**variables, **shares[index].variables}, series.output(index))
            progress.update(len(waiting))
            time.sleep(POLL)
            for index, code in pool.collect().items():
                del shares[index]
                progress.end(index, code)
                if code:
                    codes[index] = code
                if code == BAD_INPUT and series.first_begun() is None:
                    waiting.clear()
    return codes, pool.received


def describe_count(group: RunGroup, noun: str) -> str:
    """Return the number of runs as text: `4 runs`, or `4 runs of which 1 is finished`.

    Args:
        group: The runs.
        noun: Name of a run, `run` or `trial`.
    """
    text, finished = format_count(group.number, noun), sum(map(is_finished, group.run_folders))
    return f"{text} of which {finished} {'is' if finished == 1 else 'are'} finished" if finished else text


def _command(series: Series, index: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that begins a run or goes on with it, and its environment variables."""
    plan = series.plan
    return make_command(series.run_folders[index], plan.arguments, plan.runs[index], plan.group, series.first_begun())


def make_command(
    folder: Path, arguments: Sequence[str], options: Mapping[str, str], group: str, first: Path | None
) -> tuple[list[str], dict[str, str]]:
    """Return the command that begins a run or goes on with it, and its environment variables.

    Args:
        folder: Folder of the run.
        arguments: Arguments of `fit` that all runs share.
        options: Options of the run by key.
        group: Group of the run.
        first: Folder of the first run that has begun, whose precision and findings the others keep; None without one.
    """
    command = [sys.executable, "-m", "lightseg.fit"]
    if has_begun(folder):
        return [*command, "--resume", str(folder)], {}
    variables = {environment.RUN_NAME: folder.name}
    if first and "trainer.precision" not in options:
        variables |= _keep_precision(first)
    if first and split_find(arguments)[0]:
        variables |= {environment.FINDINGS: str(first / FINDINGS)}
    words = [f"--{key}={value}" for key, value in options.items()]
    return [*command, *arguments, *words, f"--group={group}"], variables


def _keep_precision(folder: Path) -> dict[str, str]:
    """Return the variable that keeps the precision of a run for `trainer.precision: auto` of the others."""
    trainer = read(folder / "config.yaml").get("trainer")
    precision = trainer.get("precision") if isinstance(trainer, dict) else None
    return {environment.PRECISION: f"{precision}:as in the first run of the series"} if precision else {}


def _describe_failures(series: Series, codes: Mapping[int, int]) -> SeriesError:
    """Return the error that lists the failed runs, and the command that goes on with the series."""
    failed = sorted(codes)
    lines = []
    for index in failed[:_LISTED]:
        lines.append(f"  {series.label(index)}: {describe_failure(series, index, codes[index])}")
        lines.append(f"    see {show(series.output(index))}")
    more = [f"  and {len(failed) - _LISTED} more"] * (len(failed) > _LISTED)
    head = f"{len(failed)} of {len(series.plan.runs)} runs failed:"
    again = f"go on with: python -m lightseg.fit --resume {show(series.folder)}"
    exit_code = BAD_INPUT if codes[failed[0]] == BAD_INPUT else 1
    return SeriesError("\n".join([head, *lines, *more, again]), exit_code)


def hash_recipe(arguments: Sequence[str]) -> str:
    """Return a hash of the files of the recipe and its overlays."""
    files = [file for name in option_values(arguments, "-c", "--config") for file in chain(name)]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def require_one_process(variables: Mapping[str, str], options: str) -> None:
    """Check that no launcher has started several processes, each of which would start all runs.

    Args:
        variables: Environment variables.
        options: Options that ask for several runs, for the message.
    """
    for launcher, variable in (("torchrun", "WORLD_SIZE"), ("SLURM", "SLURM_NTASKS")):
        processes = variables.get(variable, "1")
        require(
            processes == "1",
            f"{options}: {launcher} has started {processes} processes, and each would begin all of the "
            "runs; start each run as a job of its own (--seed_everything N --group NAME, --data.folds K --data.fold N)",
        )
