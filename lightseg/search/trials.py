"""Folder of a search: its plan, and its trials in the storage of Optuna."""

from __future__ import annotations

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
from lightseg.files.atomic import write_json
from lightseg.files.names import LATENCY
from lightseg.runs import folder as run_folders
from lightseg.runs.metrics_log import read_log
from lightseg.runs.read import Run, read
from lightseg.runs.records import is_finished, read_mapping, read_record
from lightseg.runs.series import SEARCH_PREFIX, RunGroup
from lightseg.search.space import as_options, describe, make_space
from lightseg.search.study import Study

REPORT, _PLAN = "report.json", "search.json"

_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {"tpe": TPESampler, "random": RandomSampler, "nsga2": NSGAIISampler}
_PRUNERS: dict[str, type[optuna.pruners.BasePruner]] = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


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
        self._asked: dict[int, Trial] = {}

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
        """Study of Optuna, created if there is none."""
        study = self.plan.study
        storage = _open_storage(self.folder, study.storage)
        pruner = _PRUNERS[study.pruner]() if study.pruner else NopPruner()
        directions = [
            StudyDirection.MAXIMIZE if name == "score" else StudyDirection.MINIMIZE for name in study.objective
        ]
        created = optuna.create_study(
            storage=storage, study_name="search", directions=directions, pruner=pruner, load_if_exists=True
        )
        # with the same seed, a sampler would draw the values of the first trials again
        created.sampler = _SAMPLERS[study.sampler](seed=study.seed + len(created.trials))
        return created

    @property
    def trials(self) -> list[FrozenTrial]:
        """Trials so far, by number."""
        return self.optuna.get_trials(deepcopy=False)

    def with_state(self, state: TrialState) -> list[int]:
        """Return the numbers of the trials in a state."""
        return [trial.number for trial in self.trials if trial.state == state]

    def settle(self) -> deque[int]:
        """Take the values of finished runs of which the storage has none; return the trials to go on with."""
        unfinished = deque[int]()
        for number in self.with_state(TrialState.RUNNING):
            if is_finished(self.run_folders[number]):
                self.finish(number)
            else:
                unfinished.append(number)
        return unfinished

    def ask(self) -> int | None:
        """Return the number of a new trial; None if all have been drawn."""
        if len(self.trials) >= self.number:
            return None
        trial = self.optuna.ask(self.space.distributions)
        self._asked[trial.number] = trial
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
        if (trial := self._asked.get(number)) is None:
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


def _open_storage(folder: Path, form: str) -> BaseStorage:
    if form == "sqlite":
        # as an address, a path with `?` or braces would be another one
        return RDBStorage("sqlite://", {"creator": partial(sqlite3.connect, folder / "trials.db")})
    path = folder / "trials.log"
    # a killed process leaves its lock; the lock of the folder excludes other processes
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))
