"""View of a run's log: its rows, each sent once when it is complete."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from lightseg.files.limited import require_inside, require_limited
from lightseg.runs.metrics_log import LOG_BYTES, read_log
from lightseg.runs.records import is_finished, read_record
from lightseg.tracking.rows import STEP, RowMerger, summary_of


class LogView(ABC):
    """Sends the rows of a run's log.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows, self._offset = RowMerger(), 0
        self._extremes: dict[str, dict[str, float]] = {}

    def follow(self) -> None:
        """Send all rows that are complete."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return
        require_inside(path)
        require_limited(path, LOG_BYTES)
        with path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        # the last line of a killed run may be incomplete
        complete = text[: text.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            if row := self._rows.add(json.loads(line)):
                self._send(row)

    @abstractmethod
    def _send(self, row: dict[str, Any]) -> None:
        """Send a complete row, unless its receiver has it."""

    def _update_extremes(self, row: dict[str, Any]) -> None:
        """Update the best values of the curves by a row."""
        for name, value in row.items():
            if isinstance(value, int | float) and (kind := summary_of(name)):
                extreme = max if kind == "max" else min
                self._extremes[name] = {kind: extreme(value, self._extremes.get(name, {}).get(kind, value))}


def extent(folder: Path) -> dict[str, Any]:
    """Return the extent of a run: number of complete rows, last step (-1: none), and whether it is finished."""
    rows = RowMerger()
    lines = read_log(folder) if (folder / "metrics.jsonl").exists() else []
    steps = [row[STEP] for line in lines if (row := rows.add(line))]
    finished = is_finished(folder)
    if finished and (newest := rows.newest()):
        steps.append(newest[STEP])
    return {"step": max(steps, default=-1), "rows": len(steps), "finished": finished}


def config(folder: Path) -> dict[str, Any]:
    """Return the config of a run for its views: the recipe as in `config.yaml`, and its facts under `run`."""
    return {**read_record(folder / "config.yaml"), "run": facts(folder)}


def facts(folder: Path) -> dict[str, Any]:
    """Return code, data, model, packages and hardware of a run, without paths of its machine."""
    names = ("git", "data", "model", "env")
    git, data, model, env = (read_record(folder / f"{name}.json") for name in names)
    hardware = {name: value for name, value in env.items() if name not in ("import_path", "executable", "packages")}
    return {"git": git, "data": data, "model": model, "packages": env["packages"], "hardware": hardware}
