"""Finished run folders: search, and records for a comparison."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from lightseg.errors import UserError
from lightseg.files.names import BEST, ENSEMBLE, METRICS
from lightseg.files.nearest import nearest_path
from lightseg.files.printable import printable
from lightseg.files.walk import matches
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.metrics_log import read_log
from lightseg.runs.records import is_finished, read_mapping, read_record, require_record
from lightseg.runs.series import Series, is_series

PathLike = TypeVar("PathLike")

_FOLDERS = 100_000
"""Limit of the folders that are searched for runs."""


@dataclass(frozen=True)
class Run:
    """Finished run, or the evaluation of an ensemble of finished runs.

    Attributes:
        folder: Absolute path of the run folder, or of the folder of the evaluation.
        name: Name of the experiment.
        config: Resolved config, nested as in `config.yaml`.
        metrics: Final metrics by name, such as `test/miou` and `train/seconds`; NaN where undefined.
        cost: `parameters`, `gflops` for one image, and `input`, the `[C, H, W]` of that image.
        environment: Versions and hardware.
        data: `samples` and `sha256` of each split, and of the `pool` that is split into folds.
        members: Run folders of the members of an ensemble; empty for a run.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    metrics: dict[str, float]
    cost: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, dict[str, Any]]
    members: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        """Name of the run in messages: `EXPERIMENT/RUN`."""
        return printable(f"{self.folder.parent.name}/{self.folder.name}")

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.config["seed_everything"])

    @property
    def fold(self) -> int | None:
        """Index of the fold that is the `val` split; None without cross-validation."""
        fold = (self.config["data"].get("init_args") or {}).get("fold")
        return None if fold is None else int(fold)

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """Lines of `metrics.jsonl`: `step`, `epoch` and the metrics logged at that step; none of an ensemble."""
        return [] if self.members else read_log(self.folder)

    @property
    def images_per_s(self) -> float:
        """Median of the logged training throughput in images per second; NaN if none was logged."""
        values = [row["train/images_per_s"] for row in self.log if row.get("train/images_per_s") is not None]
        return statistics.median(values) if values else math.nan

    def evaluation(self, split: str) -> PerImageResults | None:
        """Return the per-image results of a split; None if it was not scored.

        Raises:
            UserError: If the file is damaged.
        """
        return PerImageResults.read(self.folder, split)


def find(places: Sequence[str]) -> tuple[list[Run], list[str]]:
    """Find and read finished runs.

    Args:
        places: Run folders, folders of series, folders that hold run folders at any depth, patterns of these
            (`runs/unet/*`), or folders of evaluations of ensembles, which stand for the ensemble and its members.

    Returns:
        The runs without duplicates, sorted by folder; and notes, such as which runs are skipped as unfinished.

    Raises:
        UserError: If a place holds no run, a place is an unfinished run, or a file of a run is damaged.
    """
    runs: dict[Path, Run] = {}
    notes: list[str] = []
    for place in places:
        if (Path(place) / ENSEMBLE).is_file():
            ensemble = _read_ensemble(Path(place).resolve())
            runs[ensemble.folder] = ensemble
            runs |= {folder: read(folder) for folder in ensemble.members if folder not in runs}
            continue
        is_run_folder = (Path(place) / "config.yaml").is_file()
        for folder in [Path(place).resolve()] if is_run_folder else _find_run_folders(place):
            if folder in runs:
                notes.append(f"{printable(str(folder))} was given twice; it counts once")
            elif is_run_folder or is_finished(folder):
                runs[folder] = read(folder)
            else:
                notes.append(f"{printable(str(folder))} is not finished; it is left out")
        if is_series(Path(place)):
            num_unbegun = sum(not folder.exists() for folder in Series.read(Path(place)).run_folders)
            notes += [f"{printable(place)}: runs that have not begun, and are left out: {num_unbegun}"] * (
                num_unbegun > 0
            )
    if not runs:
        raise UserError(f"{', '.join(places)}: no finished run among these\n  " + "\n  ".join(notes))
    return [runs[folder] for folder in sorted(runs)], list(dict.fromkeys(notes))


def read(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        UserError: If the folder is no run folder, the run is not finished, or a file is damaged or missing.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: no run folder, which has a config.yaml")
    if not is_finished(folder):
        raise UserError(
            f"{folder}: this run is not finished; go on with it (python -m lightseg.fit --resume {folder}), "
            "or leave it out"
        )
    config = _read_required(folder / "config.yaml", "seed_everything", "data")
    record = _read_required(folder / METRICS, "train/seconds")
    metrics = {name: math.nan if value is None else value for name, value in record.items()}
    cost = _read_required(folder / "model.json", "parameters", "gflops")
    environment, data = (_read_required(folder / f"{name}.json") for name in ("env", "data"))
    name = printable(str(config.get("name", folder.parent.name)))
    return Run(folder, name, config, metrics, cost, environment, data)


def _read_ensemble(folder: Path) -> Run:
    """Read the evaluation of an ensemble; its costs are the sums of those of its members.

    Raises:
        UserError: If a file is damaged, or a member is not the best checkpoint of a run, whose score is recorded.
    """
    members = []
    for member in read_record(folder / ENSEMBLE)["members"]:
        if member["run"] is None or Path(member["checkpoint"]).name != BEST:
            raise UserError(
                f"{folder}: its member {member['checkpoint']} is not the best checkpoint of a run, so that it has no "
                "score to compare with; leave this ensemble out"
            )
        members.append(read(Path(member["run"])))
    first = members[0]
    metrics = {
        name: math.nan if value is None else float(value)
        for name, value in read_mapping(folder / METRICS).items()
        if "/" in name and isinstance(value, int | float | None)
    }
    metrics["train/seconds"] = sum(run.metrics["train/seconds"] for run in members)
    cost: dict[str, Any] = {name: sum(run.cost[name] for run in members) for name in ("parameters", "gflops")}
    inputs = [run.cost.get("input") for run in members]
    cost["input"] = inputs[0] if all(shape == inputs[0] for shape in inputs) else None
    # the members' training data may be different folds
    has_one_train = all(run.data.get("train") == first.data.get("train") for run in members)
    splits = ("train", "val", "test") if has_one_train else ("val", "test")
    data = {split: record for split, record in first.data.items() if split in splits}
    return Run(
        folder,
        printable(folder.name),
        _ensemble_config(members),
        metrics,
        cost,
        first.environment,
        data,
        tuple(run.folder for run in members),
    )


def _ensemble_config(members: Sequence[Run]) -> dict[str, Any]:
    """Return the config of the first member as that of the ensemble, which is of no fold."""
    config = members[0].config
    transforms = [(run.config["data"].get("init_args") or {}).get("eval_transforms") for run in members]
    options = {**(config["data"].get("init_args") or {}), "fold": None, "folds": None}
    if any(each != transforms[0] for each in transforms):
        # each member applies its own
        options["eval_transforms"] = None
    return {**config, "data": {**config["data"], "init_args": options}, "ensemble": f"of {len(members)}"}


def _find_run_folders(place: str) -> list[Path]:
    """Return the run folders at or below a path, or the paths that match a pattern.

    Raises:
        UserError: If there are none.
    """
    paths = map(Path, [place] if Path(place).is_dir() else matches(place))
    roots = list(_limit(place, (path for path in paths if path.is_dir())))
    roots += [folder for root in roots if is_series(root) for folder in Series.read(root).run_folders]
    folders = sorted({folder.resolve() for root in roots for folder in _walk_run_folders(root)})
    if not folders:
        problem = "there is no run folder, which has a config.yaml, in it" if roots else _describe_missing(Path(place))
        raise UserError(f"{place}: {problem}")
    return folders


def _describe_missing(place: Path) -> str:
    near = None if place.exists() else nearest_path(place)
    return f"there is no such folder{f'; did you mean {near}?' if near else ''}"


def _walk_run_folders(root: Path) -> Iterator[Path]:
    """Yield the folders at or below a folder that have a config.yaml; unreadable folders are skipped.

    Raises:
        UserError: If there are more than `_FOLDERS` folders.
    """
    for folder, _, files in _limit(root, os.walk(root)):
        if "config.yaml" in files:
            yield Path(folder)


def _limit(place: object, folders: Iterable[PathLike]) -> Iterator[PathLike]:
    """Yield folders, at most `_FOLDERS` of them.

    Raises:
        UserError: If there are more.
    """
    for number, folder in enumerate(folders):
        if number >= _FOLDERS:
            raise UserError(f"{place}: holds more than {_FOLDERS:,} folders; name the folder that your runs are in")
        yield folder


def _read_required(path: Path, *keys: str) -> dict[str, Any]:
    """Return the mapping in a file of a run, and check the keys that tell it from a file of another program."""
    content = read_mapping(path)
    if absent_keys := [key for key in keys if content.get(key) is None]:
        raise UserError(
            f"{path}: is no file of a run, or is damaged (it has no {absent_keys[0]}); bring it back, or leave this "
            "run out"
        )
    require_record(path, content)
    return content
