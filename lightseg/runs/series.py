"""Runs of one command, such as a series: their plan, and their states, which are read from their folders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from lightseg.errors import UserError
from lightseg.files.atomic import write_json
from lightseg.files.names import PLAN
from lightseg.runs import folder as run_folders
from lightseg.runs.records import is_finished, read_record

SEARCH_PREFIX = "search-"
"""Start of the name of a search's folder."""


class RunGroup(ABC):
    """Runs whose folders `STAMP-00`, `STAMP-01`, … lie beside that of the group, `PREFIX` and `STAMP`.

    Attributes:
        prefix: Start of the name of the group's folder.
        folder: That folder, with the plan and the output of each run.
    """

    prefix: ClassVar[str]
    folder: Path

    @property
    @abstractmethod
    def number(self) -> int:
        """Number of the runs."""

    @abstractmethod
    def label(self, index: int) -> str:
        """Return the options of a run as text."""

    @property
    def stamp(self) -> str:
        """Start of the names of its runs."""
        return self.folder.name.removeprefix(self.prefix)

    @cached_property
    def run_folders(self) -> list[Path]:
        """Folders of the runs, which may not exist yet."""
        digits = max(2, len(str(self.number - 1)))
        return [self.folder.with_name(f"{self.stamp}-{index:0{digits}d}") for index in range(self.number)]

    def output(self, index: int) -> Path:
        """Return the file with the output of a run."""
        return self.folder / f"{self.run_folders[index].name.rpartition('-')[2]}.txt"

    def first_begun(self) -> Path | None:
        """Return the folder of the first run that has begun, finished or not; None if there is none."""
        return next(filter(has_begun, self.run_folders), None)


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
class Series(RunGroup):
    """Series of runs of one command.

    Attributes:
        folder: `RUNS_DIR/NAME/series-STAMP`, with the plan and the output of each run; the runs lie beside it, as
            `STAMP-00`, `STAMP-01`, ….
        plan: The plan.
    """

    prefix = "series-"

    folder: Path
    plan: Plan

    @classmethod
    def create(cls, runs_dir: str, name: str, plan: Plan, stamp: str) -> Series:
        """Create the folder of a new series, with its plan.

        Raises:
            UserError: If it cannot be created.
        """
        series = cls(run_folders.create(runs_dir, name, f"{cls.prefix}{stamp}"), plan)
        write_json(series.folder / PLAN, asdict(plan))
        return series

    @classmethod
    def read(cls, folder: Path) -> Series:
        """Read the plan of a series.

        Raises:
            UserError: If it is missing or damaged.
        """
        folder = folder.resolve()
        if not folder.name.startswith(cls.prefix):
            raise UserError(
                f"{folder}: no folder of a series, whose name starts with {cls.prefix}; bring its name back"
            )
        return cls(folder, Plan(**read_record(folder / PLAN)))

    @property
    def number(self) -> int:
        """Number of the runs."""
        return len(self.plan.runs)

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


def is_series(folder: Path) -> bool:
    """Return whether a folder is that of a series."""
    return (folder / PLAN).is_file()


def job_type(folder: Path) -> Literal["fit", "series", "trial"]:
    """Return whether a run is one by itself, one of a series, or a trial of a search, whose folder lies beside it."""
    stamp = folder.name.rpartition("-")[0]
    if folder.with_name(f"{SEARCH_PREFIX}{stamp}").is_dir():
        return "trial"
    return "series" if folder.with_name(f"{Series.prefix}{stamp}").is_dir() else "fit"


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
    for file in sorted(runs.glob(f"{Series.prefix}*/{PLAN}"), reverse=True):
        try:
            series.append(Series.read(file.parent))
        except UserError:
            continue
    return series
