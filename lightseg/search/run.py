"""Search from start to end: its plan, its trials as processes, and the winner on fresh seeds."""

import os
import signal
import time
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from lightseg.cli.argv import (
    option_names,
    option_values,
    require_known_options,
    require_printable,
    split_options,
    text_option,
)
from lightseg.cli.entry import Arguments
from lightseg.config.compose import show
from lightseg.config.option_names import plain_key
from lightseg.distributed import environment
from lightseg.errors import ConfigError, LightsegError, StoppedError, UserError, require
from lightseg.files.atomic import locked
from lightseg.files.printable import printable
from lightseg.runs import folder as run_folders
from lightseg.runs import scheduler
from lightseg.runs.read import read
from lightseg.runs.series import Series
from lightseg.search.check import require_valid
from lightseg.search.space import make_space
from lightseg.search.study import Study, read_study
from lightseg.search.trials import Search, SearchPlan, describe_full_disk, find_searches
from lightseg.series import run as series_run
from lightseg.series.machine import Machine, Share, divide
from lightseg.series.options import SEEDS, parse_jobs
from lightseg.series.pool import Pool
from lightseg.series.progress import Progress, error_text

_WATCH = 1.0
"""Seconds between two looks at the validations of running trials."""


_FULL_DISK = ("the disk is full", "No space left on device", "your quota is used up", "Disk quota exceeded")
"""Messages of runs that could not write their files."""


class SearchError(LightsegError):
    """Failure of a search: no trial has finished, or the disk is full."""


class Request(NamedTuple):
    """Search that a command line asks for.

    Attributes:
        arguments: Arguments of `fit` that all trials share.
        study: File and settings of the search; None where one is resumed.
        group: Group of the trials; None if it is not given.
        jobs: Number of trials at a time; None if it is not given.
        resumed: Folder of the search to resume; None for a new one.
    """

    arguments: list[str]
    study: tuple[Path, Study] | None
    group: str | None
    jobs: int | None
    resumed: Path | None


def parse(args: Sequence[str]) -> Request:
    """Parse the options of a search; those of `fit` are looked at by name only.

    Raises:
        UserError: If an option is missing, unknown, or contradicts another.
    """
    parser = Arguments("search")
    recipe = [f"--config={args[0]}"] if args and not args[0].startswith("-") else []
    for name in ("--study", "--resume"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--objective")
    parser.add_argument("--jobs", type=_jobs)
    # each trial is given it again
    parser.add_argument("--group")
    options, words = parser.parse_known_args(list(args[len(recipe) :]))
    arguments = [*recipe, *words]
    require_known_options(arguments)
    for name in ("seeds", "folds", "grid", "find"):
        require(name not in option_names(arguments), f"--{name}: belongs to fit; a search has trials")
    if options.resume is not None:
        require(
            not (arguments or options.study or options.objective or options.group),
            f"--resume {options.resume}: the plan of this search decides what its trials are; give only --jobs with it",
        )
        return Request([], None, None, options.jobs, options.resume)
    require(options.study is not None, "--study: is missing; give the file with the search space")
    require(bool(option_values(arguments, "-c", "--config")), "give a recipe, and the search space as --study FILE")
    study = read_study(options.study, options.objective)
    shared = {plain_key(name) for name in option_names(arguments)}
    for key in study.space:
        require(plain_key(key) not in shared, f"{show(options.study)}: space.{key}: is given as --{key}, too")
    return Request(arguments, (options.study, study), options.group, options.jobs, None)


def run(args: Sequence[str]) -> tuple[Search, Series]:
    """Run the trials that are missing of a search, then train its winner on fresh seeds.

    Args:
        args: The command line.

    Returns:
        The search, and the series of its winner.

    Raises:
        UserError: If an option is wrong, or the input keeps the first trial from beginning.
        SearchError: If no trial has finished, or the disk is full.
        SeriesError: If a run of the winner fails.
        StoppedError: If a signal stopped it.
    """
    series_run.require_one_process(os.environ, "search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = parse(args)
    search, machine = _open(request)
    with locked(search.folder, "another process runs this search; wait for its end, or give --group NAME for another"):
        _prepare(search)
        count = series_run.describe_count(search, "trial")
        print(printable(f"search {show(search.folder)}: {count}, {machine.describe()}"), flush=True)
        try:
            received = _run_trials(search, machine)
        except _BadInputError as error:
            if request.resumed is None:
                run_folders.discard(search.folder)
            raise ConfigError(f"{error}\nso no trial has begun; correct this, then repeat the command") from None
        except Exception as error:
            if isinstance(error, LightsegError) or not (reason := describe_full_disk(error)):
                raise
            raise _full_disk_error(search, f"cannot be written ({reason})") from None
        if received:
            if received == signal.SIGUSR1:
                scheduler.requeue()
            raise StoppedError(received, show(search.folder), "search")
        return search, _train_winner(search, request.jobs)


def _full_disk_error(search: Search, reason: str) -> SearchError:
    place = show(search.folder)
    return SearchError(f"{place}: {reason}; make room, then go on with: python -m lightseg.search --resume {place}")


class _BadInputError(UserError):
    """Input that keeps the first trial from beginning."""


def _jobs(text: str) -> int:
    try:
        return parse_jobs(text)
    except ArgumentTypeError as error:
        raise UserError(f"--jobs: {error}") from None


def _open(request: Request) -> tuple[Search, Machine]:
    """Return the search of a request: that of `--resume`, a stopped one of the same command, or a new one."""
    if request.resumed is not None:
        return _divide_again(Search.read(request.resumed), request)
    assert request.study is not None
    path, study = request.study
    space = make_space(study.space, path)
    require_printable(request.arguments)
    runs_dir, name = series_run.find_place(request.arguments)
    run_folders.require_name(name)
    group = request.group or text_option(request.arguments, "group")
    recipe = series_run.hash_recipe(request.arguments)

    def plan(stamp: str, cores: int | None) -> SearchPlan:
        return SearchPlan(
            arguments=request.arguments, recipe=recipe, group=group or f"{name}-{stamp}", cores=cores, study=study
        )

    for earlier in find_searches(Path(runs_dir).resolve() / name):
        # a group that is given is one search, even if that is finished
        if earlier.plan == plan(earlier.stamp, earlier.plan.cores) and (group is not None or not earlier.is_finished):
            print(printable(f"goes on with {show(earlier.folder)}; for a new search give --group NAME"), flush=True)
            return _divide_again(earlier, request)
    require_valid(
        [[*request.arguments, *(f"--{key}={value}" for key, value in point.items())] for point in space.corners()]
    )
    machine, stamp = divide(request.arguments, study.trials, request.jobs), run_folders.new_stamp()
    return Search.create(runs_dir, name, plan(stamp, machine.cores), stamp), machine


def _divide_again(search: Search, request: Request) -> tuple[Search, Machine]:
    """Return an earlier search, and a division of the machine that leaves the cores of its trials as they are."""
    plan = search.plan
    return search, divide(plan.arguments, plan.study.trials, request.jobs, plan.cores)


def _prepare(search: Search) -> None:
    """Check that the recipe is that of the trials so far, and wait for those that outlive a killed search.

    Raises:
        ConfigError: If the recipe has changed, or the trials would lie in another place.
    """
    if not search.is_finished:
        series_run.require_place(search.folder, search.plan.arguments)
    require(
        search.is_finished or search.plan.recipe == series_run.hash_recipe(search.plan.arguments),
        f"{show(search.folder)}: the recipe has changed since its first trials; bring it back, or start a new search",
    )
    for folder in search.run_folders:
        series_run.wait_for_end(folder)


def _run_trials(search: Search, machine: Machine) -> int:
    """Run the trials that are missing, several at a time, the first one alone until it has begun.

    Returns:
        The signal that stopped the search, or 0.

    Raises:
        _BadInputError: If the input keeps the first trial from beginning.
        SearchError: If the disk is full.
    """
    waiting, pruned = search.settle(), set[int]()
    shares, last_watch = dict[int, Share](), time.monotonic()
    earlier = (len(search.with_state(state)) for state in (TrialState.FAIL, TrialState.PRUNED))
    with Pool() as pool, Progress(search, machine.jobs, *earlier) as progress:
        while True:
            while not pool.received and len(shares) < machine.jobs and (not shares or search.first_begun()):
                number = waiting.popleft() if waiting else search.ask()
                if number is None:
                    break
                shares[number] = machine.free_share(shares.values())
                command, variables = _command(search, number)
                progress.begin(number, is_resumed=environment.RUN_NAME not in variables)
                pool.start(number, command, {**variables, **shares[number].variables}, search.output(number))
            if not shares:
                return pool.received
            progress.update(search.plan.study.trials - len(search.trials) + len(waiting))
            time.sleep(series_run.POLL)
            if time.monotonic() - last_watch > _WATCH:
                last_watch = time.monotonic()
                for number in shares.keys() - pruned:
                    if search.should_prune(number):
                        pruned.add(number)
                        pool.stop(number)
            for number, code in pool.collect().items():
                del shares[number]
                _end_trial(search, progress, number, code, number in pruned, bool(pool.received))


def _end_trial(search: Search, progress: Progress, number: int, code: int, is_pruned: bool, is_stopping: bool) -> None:
    """Record how a trial has ended; one that a signal has stopped goes on later.

    Args:
        search: The search.
        progress: Its lines.
        number: Number of the trial.
        code: Exit code.
        is_pruned: Whether it was stopped since others are better.
        is_stopping: Whether a signal has stopped the search.

    Raises:
        _BadInputError: If the input keeps the first trial from beginning.
        SearchError: If the trial failed since the disk is full.
    """
    if code and is_pruned:
        search.prune(number)
        progress.prune(number)
        return
    progress.end(number, code)
    if code == series_run.BAD_INPUT and search.first_begun() is None:
        raise _BadInputError(error_text(search, number) or "the first trial cannot begin")
    if code == 0:
        search.finish(number)
    elif not is_stopping:
        if any(message in error_text(search, number) for message in _FULL_DISK):
            # the others would fail as well, and count as trials
            raise _full_disk_error(search, f"trial {number} could not write its files, since the disk is full")
        search.fail(number)


def _command(search: Search, number: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that begins a trial or goes on with it, and its environment variables."""
    plan, folder, options = search.plan, search.run_folders[number], search.options(number)
    command, variables = series_run.make_command(folder, plan.arguments, options, plan.group, search.first_begun())
    # its value does not matter
    return command, {**variables, environment.LATENCY: "1"} if "latency" in plan.study.objective else variables


def _train_winner(search: Search, jobs: int | None) -> Series:
    """Train the winner on seeds that no trial had, and return the series of these runs."""
    number = search.winner()
    if number is None:
        raise SearchError(f"{show(search.folder)}: no trial has finished; see the output of each in this folder")
    seed, plan = read(search.run_folders[number]).seed, search.plan
    seeds = ",".join(str((seed + 1 + index) % SEEDS) for index in range(plan.study.winner_seeds))
    arguments, _ = split_options(plan.arguments, "--seed_everything")
    print(printable(f"winner: {search.label(number)}; it is trained again on fresh seeds: {seeds}"), flush=True)
    words = [f"--{key}={value}" for key, value in search.options(number).items()]
    options = ["--seeds", seeds, "--group", f"{plan.group}-winner", *(["--jobs", str(jobs)] if jobs else [])]
    try:
        series, failure = series_run.run([*arguments, *words, *options])
    except StoppedError as error:
        raise StoppedError(error.received, show(search.folder), "search") from None
    if failure:
        raise failure
    return series
