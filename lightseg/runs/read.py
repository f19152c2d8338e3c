"""Finished run folders: finding them, and reading what a comparison needs."""

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
from lightseg.files.printable import printable
from lightseg.files.walk import matches
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.metrics_log import read_log
from lightseg.runs.records import read_mapping, require_record

T = TypeVar("T")

_FOLDERS = 100_000
"""So many folders are looked into for runs."""


@dataclass(frozen=True)
class Run:
    """Finished run.

    Attributes:
        folder: The run folder, absolute.
        name: Name of the experiment.
        config: The resolved config, nested as in `config.yaml`.
        metrics: The final numbers by name, such as `test/miou` and `train/seconds`; NaN where undefined.
        cost: `parameters`, `gflops` of one image, and `input`, its `[C, H, W]`.
        environment: Versions and hardware.
        data: `samples` and `sha256` of each split, and of the `pool` that folds were dealt from.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    metrics: dict[str, float]
    cost: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, dict[str, Any]]

    @property
    def label(self) -> str:
        """Return the run folder as it is named to a reader: `EXPERIMENT/RUN`."""
        return printable(f"{self.folder.parent.name}/{self.folder.name}")

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.config["seed_everything"])

    @property
    def fold(self) -> int | None:
        """Return which fold of a cross-validation is its `val` split; None where there are no folds."""
        fold = (self.config["data"].get("init_args") or {}).get("fold")
        return None if fold is None else int(fold)

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`: `step`, `epoch` and whatever was logged then."""
        return read_log(self.folder)

    @property
    def images_per_s(self) -> float:
        """Median of the training throughput that was logged; NaN if none was."""
        logged = [row["train/images_per_s"] for row in self.log if row.get("train/images_per_s") is not None]
        return statistics.median(logged) if logged else math.nan

    def evaluation(self, split: str) -> PerImageResults | None:
        """Return the per-image counts of a split; None if it was not scored.

        Raises:
            UserError: If the file is damaged.
        """
        return PerImageResults.read(self.folder, split)


def find(places: Sequence[str]) -> tuple[list[Run], list[str]]:
    """Read the runs that are meant.

    Args:
        places: Run folders, folders that hold run folders at any depth, or patterns of either (`runs/unet/*`).

    Returns:
        The runs, each once, in the order of their folders; what is worth telling, such as the runs left out because
        they are not finished.

    Raises:
        UserError: If a place holds no run, a run that is named is not finished, or a file of a run is damaged.
    """
    runs_by_folder: dict[Path, Run] = {}
    notes: list[str] = []
    for place in places:
        is_run = (Path(place) / "config.yaml").is_file()
        for folder in [Path(place).resolve()] if is_run else _below(place):
            if folder in runs_by_folder:
                notes.append(f"{printable(str(folder))} was given twice; it counts once")
            elif is_run or (folder / "metrics.json").is_file():
                runs_by_folder[folder] = read(folder)
            else:
                notes.append(f"{printable(str(folder))} is not finished; it is left out")
    if not runs_by_folder:
        raise UserError(f"{', '.join(places)}: no finished run among these\n  " + "\n  ".join(notes))
    return [runs_by_folder[folder] for folder in sorted(runs_by_folder)], list(dict.fromkeys(notes))


def read(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        UserError: If the folder is none, the run is not finished, or a file is damaged or missing.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: no run folder, which has a config.yaml")
    if not (folder / "metrics.json").is_file():
        raise UserError(
            f"{folder}: this run is not finished; go on with it (python -m lightseg.fit --resume {folder}), "
            "or leave it out"
        )
    config = _read(folder / "config.yaml", "seed_everything", "data")
    final = _read(folder / "metrics.json", "train/seconds")
    metrics = {name: math.nan if value is None else value for name, value in final.items()}
    cost = _read(folder / "model.json", "parameters", "gflops")
    environment, data = (_read(folder / f"{name}.json") for name in ("env", "data"))
    name = printable(str(config.get("name", folder.parent.name)))
    return Run(folder, name, config, metrics, cost, environment, data)


def _below(place: str) -> list[Path]:
    """Return the run folders at or below what a path or a pattern names.

    Raises:
        UserError: If there are none.
    """
    paths = map(Path, [place] if Path(place).is_dir() else matches(place))
    roots = list(_few(place, (path for path in paths if path.is_dir())))
    folders = sorted({folder.resolve() for root in roots for folder in _run_folders(root)})
    if not folders:
        what = "there is no run folder, which has a config.yaml, in it" if roots else "there is no such folder"
        raise UserError(f"{place}: {what}")
    return folders


def _run_folders(root: Path) -> Iterator[Path]:
    """Yield the folders at or below a folder that have a config.yaml; those that may not be read are passed over.

    Raises:
        UserError: If there are too many folders to look into.
    """
    for folder, _, files in _few(root, os.walk(root)):
        if "config.yaml" in files:
            yield Path(folder)


def _few(place: object, folders: Iterable[T]) -> Iterator[T]:
    """Yield folders, of which there may not be too many to look into."""
    for number, folder in enumerate(folders):
        if number >= _FOLDERS:
            raise UserError(f"{place}: holds more than {_FOLDERS:,} folders; name the folder that your runs are in")
        yield folder


def _read(path: Path, *keys: str) -> dict[str, Any]:
    """Return the mapping in a file of a run; what another program has left under that name has not the keys."""
    content = read_mapping(path)
    if missing := [key for key in keys if content.get(key) is None]:
        raise UserError(
            f"{path}: is no file of a run, or is damaged (it has no {missing[0]}); bring it back, or leave this run out"
        )
    require_record(path, content)
    return content
