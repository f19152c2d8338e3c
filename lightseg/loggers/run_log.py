"""Log of all numbers in the run folder."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightseg.errors import RunError
from lightseg.loggers.folder_logger import FolderLogger
from lightseg.runs.metrics_log import plain_number, write_csv


class RunLog(FolderLogger):
    """Appends every logged number to `metrics.jsonl` immediately; writes `metrics.csv` at the end.

    Args:
        folder: The run folder; `None` on processes that do not write.
    """

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one line: `{"step": 9, "epoch": 0, "train/loss": 0.7}`; values that are not finite are null.

        Raises:
            RunError: If the file cannot be written, such as on a full disk.
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
        """Do nothing; `config.yaml` in the run folder has all options."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the table; after a failed training, an error of writing is ignored in favor of the first error.

        Raises:
            RunError: If the file cannot be written after a successful training.
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
