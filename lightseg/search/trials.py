"""Folder of a search: its plan, and its trials in the storage of Optuna."""

from __future__ import annotations

import errno
import math
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lightseg.comparison.trials import align, make_trials
from lightseg.config.schema import require_form
from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import require_regular, write_json
from lightseg.files.names import LATENCY
from lightseg.files.printable import printable_line
from lightseg.runs import folder as run_folders
from lightseg.runs.metrics_log import read_log
from lightseg.runs.read import Run, read
from lightseg.runs.records import is_finished, read_mapping, read_record
from lightseg.runs.series import SEARCH_PREFIX, RunGroup
from lightseg.search.space import as_options, describe, make_space
from lightseg.search.study import Study

REPORT, _PLAN = "report.json", "search.json"
_STORAGES = {"sqlite": "trials.db", "journal": "trials.log"}

_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {"tpe": TPESampler, "random": RandomSampler, "nsga2": NSGAIISampler}
_PRUNERS: dict[str, type[optuna.pruners.BasePruner]] = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


_NOT_WRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""Codes of SQLite on a full disk, or beyond a limit of the size of files: of the file, or of its journal."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SearchPlan(BaseModel):
    """Content of `search.json`.

    Attributes:
        arguments: Command line of `fit` that all trials share.
        recipe: Hash of the files of the recipe.
        group: Group of the trials.
        cores: Cores of each trial; None where a trial has all of the machine.
        study: Settings of the search.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    arguments: list[str]
    recipe: str
    group: str
    cores: Annotated[int, Field(ge=1)] | None
    study: Study


_SCHEMA = TypeAdapter(SearchPlan)


class Search(RunGroup):
    """Search whose trials are runs.

    Args:
        folder: `RUNS_DIR/NAME/search-STAMP`, with the plan, the storage and the output of each trial; the runs lie
            beside it, as `STAMP-00`, `STAMP-01`, ….
        plan: The plan.
    """

    prefix = SEARCH_PREFIX

    def __init__(self, folder: Path, plan: SearchPlan) -> None:
        self.folder, self.plan = folder, plan
        self.space = make_space(plan.study.space, folder / _PLAN)
        self._new_trials: dict[int, Trial] = {}

    @classmethod
    def create(cls, runs_dir: str, name: str, plan: SearchPlan, stamp: str) -> Search:
        """Create the folder of a new search, with its plan.

        Raises:
            UserError: If it cannot be created.
        """
        search = cls(run_folders.create(runs_dir, name, f"{cls.prefix}{stamp}"), plan)
        write_json(search.folder / _PLAN, plan.model_dump())
        return search

    @classmethod
    def read(cls, folder: Path) -> Search:
        """Read the plan of a search.

        Raises:
            UserError: If it is missing or damaged.
        """
        folder = folder.resolve()
        if not folder.name.startswith(cls.prefix) or not (folder / _PLAN).is_file():
            raise UserError(f"{folder}: no folder of a search, whose name starts with {cls.prefix}")
        content = read_mapping(folder / _PLAN)
        require_form(_SCHEMA, content, folder / _PLAN)
        return cls(folder, SearchPlan.model_validate(content))

    @property
    def is_finished(self) -> bool:
        """Return whether the report is written."""
        return (self.folder / REPORT).is_file()

    @property
    def number(self) -> int:
        """Number of the trials, drawn or not."""
        return self.plan.study.trials

    def label(self, index: int) -> str:
        """Return number and values of a trial as text: `trial 3: lr 0.00125, encoder resnet18`."""
        return f"trial {index} ({describe(self.trials[index].params)})"

    def options(self, index: int) -> dict[str, str]:
        """Return the options of a trial by key."""
        return as_options(self.trials[index].params)

    @cached_property
    def optuna(self) -> optuna.Study:
        """Study of Optuna, created if there is none.

        Raises:
            UserError: If its file is damaged, or is not that of this search.
        """
        study, file = self.plan.study, self.folder / _STORAGES[self.plan.study.storage]
        pruner = _PRUNERS[study.pruner]() if study.pruner else NopPruner()
        directions = [
            StudyDirection.MAXIMIZE if name == "score" else StudyDirection.MINIMIZE for name in study.objective
        ]
        require_regular(file)
        try:
            created = optuna.create_study(
                storage=_open_storage(file),
                study_name="search",
                directions=directions,
                pruner=pruner,
                load_if_exists=True,
            )
            trials = created.get_trials(deepcopy=False)
        # a damaged file raises anything from AssertionError to sqlalchemy's DatabaseError
        except Exception as error:
            if isinstance(error, OSError) or describe_full_disk(error):
                raise
            reason = printable_line(str(error))[:120] or type(error).__name__
            raise UserError(
                f"{file}: is damaged, or of another version of optuna ({reason}); bring it back, or start a new search"
            ) from None
        fits = created.directions == directions and len(trials) <= study.trials and all(map(self._fits, trials))
        if not fits or [trial.number for trial in trials] != list(range(len(trials))):
            raise UserError(f"{file}: does not fit {_PLAN} beside it; bring both back, or start a new search")
        if unknown := [folder for folder in self.run_folders[len(trials) :] if folder.exists()]:
            raise UserError(f"{file}: does not have the trial of {unknown[0]}; bring it back, or start a new search")
        # with the same seed, a sampler would draw the values of the first trials again
        created.sampler = _SAMPLERS[study.sampler](seed=study.seed + len(trials))
        return created

    def _fits(self, trial: FrozenTrial) -> bool:
        """Return whether a trial of the storage is one of this search."""
        is_known = all(self.space.distributions.get(key) == axis for key, axis in trial.distributions.items())
        if trial.state != TrialState.COMPLETE:
            return is_known
        values = trial.values or []
        has_values = len(values) == len(self.plan.study.objective) and all(map(math.isfinite, values))
        return is_known and has_values and self._is_drawn(trial)

    def _is_drawn(self, trial: FrozenTrial) -> bool:
        """Return whether a trial has a value for each key, which Optuna writes one after another."""
        return len(trial.distributions) == len(self.space.distributions)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Trials so far, by number."""
        return self.optuna.get_trials(deepcopy=False)

    def with_state(self, state: TrialState) -> list[int]:
        """Return the numbers of the trials in a state."""
        return [trial.number for trial in self.trials if trial.state == state]

    def settle(self) -> deque[int]:
        """Take the values of finished runs of which the storage has none; return the trials to go on with.

        A trial whose values were being drawn as the process was killed fails.
        """
        unfinished = deque[int]()
        for number in self.with_state(TrialState.RUNNING):
            if not self._is_drawn(self.trials[number]):
                self.fail(number)
            elif is_finished(self.run_folders[number]):
                self.finish(number)
            else:
                unfinished.append(number)
        return unfinished

    def ask(self) -> int | None:
        """Return the number of a new trial; None if all have been drawn."""
        if len(self.trials) >= self.number:
            return None
        trial = self.optuna.ask(self.space.distributions)
        self._new_trials[trial.number] = trial
        return trial.number

    def finish(self, number: int) -> None:
        """Take the values of a finished run; a run without them fails.

        Raises:
            UserError: If its score cannot be compared with that of the other trials.
        """
        run = read(self.run_folders[number])
        self._require_comparable(run)
        self._report(number)
        values = [_value(run, name) for name in self.plan.study.objective]
        if any(value is None for value in values):
            self.fail(number)
        else:
            self.optuna.tell(number, values)

    def fail(self, number: int) -> None:
        """Mark a trial as failed."""
        self.optuna.tell(number, state=TrialState.FAIL)

    def prune(self, number: int) -> None:
        """Mark a trial as pruned."""
        self.optuna.tell(number, state=TrialState.PRUNED)

    def should_prune(self, number: int) -> bool:
        """Return whether a running trial is worse than the others at a validation that is new."""
        trial = self._report(number)
        return trial is not None and trial.should_prune()

    def winner(self) -> int | None:
        """Return the finished trial with the highest score; None if there is none."""
        finished = self.with_state(TrialState.COMPLETE)
        return max(finished, key=lambda number: (self.trials[number].values[0], -number), default=None)

    def front(self) -> list[int]:
        """Return the trials that no other one beats in all objectives."""
        return sorted(trial.number for trial in self.optuna.best_trials)

    def _report(self, number: int) -> Trial | None:
        """Report the validations of a trial that are new; return it if there are some, and a pruner needs them."""
        if not self.plan.study.pruner or not (self.run_folders[number] / "metrics.jsonl").is_file():
            return None
        # Optuna has no public way to report for a trial of an earlier process, which is never pruned
        if (trial := self._new_trials.get(number)) is None:
            return None
        scores = [row["val/score"] for row in read_log(self.run_folders[number]) if row.get("val/score") is not None]
        start = len(self.trials[number].intermediate_values)
        for step, score in enumerate(scores[start:], start):
            trial.report(score, step)
        return trial if scores[start:] else None

    def _require_comparable(self, run: Run) -> None:
        first = next(iter(self.with_state(TrialState.COMPLETE)), None)
        if first is None:
            return
        trials = [make_trials([each], "val")[0] for each in (read(self.run_folders[first]), run)]
        try:
            align(trials)
        except UserError as error:
            # the last of several lines advises to leave a run out
            message, _, last = str(error).rpartition("\n")
            raise ConfigError(f"{message or last}\ntake the key that changes this out of the search space") from None


def find_searches(runs: Path) -> list[Search]:
    """Return the searches of an experiment, newest first; damaged ones are left out.

    Args:
        runs: `RUNS_DIR/NAME`.
    """
    searches = []
    for file in sorted(runs.glob(f"{Search.prefix}*/{_PLAN}"), reverse=True):
        try:
            searches.append(Search.read(file.parent))
        except UserError:
            continue
    return searches


def _value(run: Run, objective: str) -> Any:
    if objective == "score":
        score = run.metrics.get("val/score")
        return None if score is None or score != score else score
    if objective == "latency":
        # a trial that was resumed by hand has none
        path = run.folder / LATENCY
        return read_record(path)["latency_ms"] if path.exists() else None
    return run.cost["gflops" if objective == "flops" else objective]


def describe_full_disk(error: BaseException) -> str | None:
    """Return why the storage cannot be written, by an error of Optuna; None if that is not the reason."""
    cause: BaseException | None = error
    while cause is not None:
        # the primary code is in the lowest byte
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in _NOT_WRITTEN:
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return cause.strerror
        cause = cause.__cause__
    return None


def _open_storage(file: Path) -> BaseStorage:
    if file.name == _STORAGES["sqlite"]:
        # as an address, a path with `?` or braces would be another one
        return RDBStorage("sqlite://", {"creator": partial(sqlite3.connect, file)})
    # a killed process leaves its lock; the lock of the folder excludes other processes
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    # and a full disk a part of a line, to which the next one would be appended
    complete = file.read_bytes().rfind(b"\n") + 1 if file.exists() else 0
    if complete:
        os.truncate(file, complete)
    return JournalStorage(JournalFileBackend(str(file)))
