"""Series of runs: its plan, and the states of its runs, which are read from their folders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from lightseg.errors import UserError
from lightseg.files.atomic import write_json
from lightseg.files.names import PLAN
from lightseg.runs import folder as run_folders
from lightseg.runs.records import is_finished, read_record

_PREFIX = "series-"
"""Start of the name of a series' folder; the names of its runs have a number in its place."""

SEARCH_PREFIX = "search-"
"""Start of the name of a search's folder, likewise."""


@dataclass(frozen=True)
class Plan:
    """Content of `plan.json`.

    Attributes:
        arguments: Command line of `fit` that all runs share.
        recipe: Hash of the files of the recipe.
        group: Group of the runs.
        cores: Cores of each run; None where a run has all of the machine.
        runs: Options of each run by key.
    """

    arguments: list[str]
    recipe: str
    group: str
    cores: int | None
    runs: list[dict[str, str]]


@dataclass(frozen=True)
class Series:
    """Series of runs of one command.

    Attributes:
        folder: `RUNS_DIR/NAME/series-STAMP`, with the plan and the output of each run; the runs lie beside it, as
            `STAMP-00`, `STAMP-01`, ….
        plan: The plan.
    """

    folder: Path
    plan: Plan

    @classmethod
    def create(cls, runs_dir: str, name: str, plan: Plan, stamp: str) -> Series:
        """Create the folder of a new series, with its plan.

        Raises:
            UserError: it cannot be created.
        """
        series = cls(run_folders.create(runs_dir, name, f"{_PREFIX}{stamp}"), plan)
        write_json(series.folder / PLAN, asdict(plan))
        return series

    @classmethod
    def read(cls, folder: Path) -> Series:
        """Read the plan of a series.

        Raises:
            UserError: it is missing or damaged.
        """
        folder = folder.resolve()
        if not folder.name.startswith(_PREFIX):
            raise UserError(f"{folder}: no folder of a series, whose name starts with {_PREFIX}; bring its name back")
        return cls(folder, Plan(**read_record(folder / PLAN)))

    @property
    def stamp(self) -> str:
        """Start of the names of its runs."""
        return self.folder.name.removeprefix(_PREFIX)

    @cached_property
    def run_folders(self) -> list[Path]:
        """Folders of the runs, which may not exist yet."""
        number = len(self.plan.runs)
        digits = max(2, len(str(number - 1)))
        return [self.folder.with_name(f"{self.stamp}-{index:0{digits}d}") for index in range(number)]

    def output(self, index: int) -> Path:
        """Return the file with the output of a run."""
        return self.folder / f"{self.run_folders[index].name.rpartition('-')[2]}.txt"

    def label(self, index: int) -> str:
        """Return the options of a run as text: `seed 0, fold 2, lr 1e-3`."""
        return ", ".join(
            f"{'seed' if key == 'seed_everything' else key.rpartition('.')[2]} {value}"
            for key, value in self.plan.runs[index].items()
            if key != "data.folds"
        )

    def unfinished(self) -> list[int]:
        """Return the indices of the runs without final metrics."""
        return [index for index, folder in enumerate(self.run_folders) if not is_finished(folder)]

    def first_begun(self) -> Path | None:
        """Return the folder of the first run that has begun, finished or not; None if there is none."""
        return next(filter(has_begun, self.run_folders), None)


def is_series(folder: Path) -> bool:
    """Return whether a folder is that of a series."""
    return (folder / PLAN).is_file()


def job_type(folder: Path) -> Literal["fit", "series", "trial"]:
    """Return whether a run is one by itself, one of a series, or a trial of a search, whose folder lies beside it."""
    stamp = folder.name.rpartition("-")[0]
    if folder.with_name(f"{SEARCH_PREFIX}{stamp}").is_dir():
        return "trial"
    return "series" if folder.with_name(f"{_PREFIX}{stamp}").is_dir() else "fit"


def has_begun(folder: Path) -> bool:
    """Return whether a run has all records of its start, so that it can be resumed."""
    # the last one that is written
    return (folder / "git.json").is_file()


def find_series(runs: Path) -> list[Series]:
    """Return the series of an experiment, newest first; damaged ones are left out.

    Args:
        runs: `RUNS_DIR/NAME`.
    """
    series = []
    for file in sorted(runs.glob(f"{_PREFIX}*/{PLAN}"), reverse=True):
        try:
            series.append(Series.read(file.parent))
        except UserError:
            continue
    return series
