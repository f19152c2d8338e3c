"""Run folder's own record of every logged number."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightseg.errors import RunError
from lightseg.loggers.folder_logger import FolderLogger
from lightseg.runs.metrics_log import plain_number, write_csv


class RunLog(FolderLogger):
    """Appends every logged number to `metrics.jsonl` at once, so that a kill loses nothing; `metrics.csv` follows.

    Args:
        folder: The run folder; `None` on processes that do not write.
    """

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one line: `{"step": 9, "epoch": 0, "train/loss": 0.7}`; what is not finite is null.

        Raises:
            RunError: If the disk is full or will not take it.
        """
        if self.folder is None:
            return
        path = self.folder / "metrics.jsonl"
        line = {"step": step, **{name: plain_number(value) for name, value in metrics.items()}}
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._unwritten(path, error) from None

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder's `config.yaml` has them all."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the same numbers as a table; where that fails after another failure, the other one is told.

        Raises:
            RunError: If the disk is full or will not take it, after a success.
        """
        if self.folder is None or not (self.folder / "metrics.jsonl").exists():
            return
        try:
            write_csv(self.folder)
        except OSError as error:
            if status == "success":
                raise self._unwritten(self.folder / "metrics.csv", error) from None

    def _unwritten(self, path: Path, error: OSError) -> RunError:
        advice = f"Make room, then go on with: python -m lightseg.fit --resume {self.folder}"
        return RunError(f"{path}: cannot be written: {error.strerror}.\n{advice}")
