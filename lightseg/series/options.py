"""Options of a series, `--seeds`, `--folds`, `--grid` and `--jobs`, and the runs that they ask for."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from lightseg.cli.argv import option_names, option_values
from lightseg.cli.find_option import KEYS, require_absent, split_find
from lightseg.config.option_names import plain_key
from lightseg.config.run_schema import MOST_RUNS
from lightseg.errors import ConfigError, require
from lightseg.runs.series import is_series
from lightseg.series.grid import parse_axis, points

SEEDS = 2**32
"""Number of seeds, from 0 on."""


class Request(NamedTuple):
    """Series that a command line asks for.

    Attributes:
        arguments: Arguments of `fit` that all runs share.
        runs: Options of each run by key; empty where a series is resumed.
        group: Group of the runs; None if it is not given.
        jobs: Number of runs at a time; None if it is not given.
        resumed: Folder of the series to resume; None for a new one.
    """

    arguments: list[str]
    runs: list[dict[str, str]]
    group: str | None
    jobs: int | None
    resumed: Path | None

    def options(self, index: int) -> list[str]:
        """Return the options of a run as arguments of `fit`."""
        return [f"--{key}={value}" for key, value in self.runs[index].items()]


def asks_for_series(args: Sequence[str]) -> bool:
    """Return whether a command line of `fit` asks for a series of runs."""
    # the empty word is the value of an option at the end
    words = [*args, ""]
    return bool(option_values(words, "--seeds", "--folds", "--grid", "--jobs")) or any(
        is_series(Path(folder)) for folder in option_values(words, "--resume")
    )


def parse(args: Sequence[str]) -> Request:
    """Parse the options of a series; the other ones are not looked at.

    Raises:
        ConfigError: If they contradict each other, or ask for too many runs.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--seeds", type=_parse_seeds)
    parser.add_argument("--folds", type=_parse_folds)
    parser.add_argument("--grid", type=parse_axis, nargs="+", action="extend", default=[])
    parser.add_argument("--jobs", type=parse_jobs)
    parser.add_argument("--resume", type=Path)
    # each run is given it again
    parser.add_argument("--group")
    options, arguments = parser.parse_known_args(list(args))
    varies = options.seeds is not None or options.folds is not None or bool(options.grid)
    if options.resume is not None:
        require(
            is_series(options.resume),
            f"--resume {options.resume}: goes on with one run; leave out --seeds, --folds, --grid and --jobs, or give "
            "the folder of a series",
        )
        require(
            not (varies or arguments or options.group),
            f"--resume {options.resume}: the plan of this series decides what its runs are; give only --jobs with it",
        )
        return Request([], [], None, options.jobs, options.resume)
    require(varies, "--jobs: belongs to several runs; give --seeds, --folds or --grid, too")
    _require_no_conflict(options, arguments)
    return Request(arguments, _list_runs(options), options.group, options.jobs, None)


def _require_no_conflict(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Check that no key is both varied and given."""
    shared = {plain_key(name) for name in option_names(arguments)}
    keys = [plain_key(key) for key, _ in options.grid]
    for name in split_find(arguments)[0]:
        require_absent(name, keys, f"--grid {KEYS[name]}")
    require(options.seeds is None or "seed_everything" not in shared, "give --seeds or --seed_everything, not both")
    require(options.folds is None or not {"data.fold", "data.folds"} & shared, "give --folds or --data.fold, not both")
    for key in keys:
        require(keys.count(key) == 1, f"--grid {key}: is given twice; give all of its values at once")
        require(key not in shared, f"give --grid {key} or --{key}, not both")


def _list_runs(options: argparse.Namespace) -> list[dict[str, str]]:
    """Return the options of each run: every fold of every point of the grid at every seed."""
    sizes = {"seeds": len(options.seeds or [0]), "folds": options.folds or 1}
    number = math.prod([*sizes.values(), *(len(values) for _, values in options.grid)])
    names = ", ".join(f"--{name}" for name in ("seeds", "folds", "grid") if getattr(options, name))
    require(number <= MOST_RUNS, f"{names}: {number:,} runs; give {MOST_RUNS:,} at most")
    seeds = [{}] if options.seeds is None else [{"seed_everything": str(seed)} for seed in options.seeds]
    folds = [{"data.folds": str(options.folds), "data.fold": str(fold)} for fold in range(options.folds or 0)] or [{}]
    return [{**seed, **point, **fold} for seed in seeds for point in points(options.grid) for fold in folds]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise the message of argparse as a `ConfigError`."""
        raise ConfigError(message.removeprefix("argument "))


def _parse_seeds(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words) or len({int(word) for word in words}) < len(words):
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers from 0 on, each once, such as 0,1,2")
    if (greatest := max(map(int, words))) >= SEEDS:
        raise argparse.ArgumentTypeError(f"{text}: {greatest} is not a seed; give {SEEDS - 1} at most")
    return [int(word) for word in words]


def _parse_folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: give a number of folds from 2 on, such as 5")
    return int(text)


def parse_jobs(text: str) -> int:
    """Return the number of runs at a time, the value of `--jobs`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give the number of runs at a time, from 1 on")
    return int(text)
