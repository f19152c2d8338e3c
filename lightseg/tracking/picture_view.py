"""View of a run folder as numbers and pictures by step, for tools that keep no more than that.

Names, pictures and final scores are those of the W&B view; the pictures are figures, since such tools have no overlays.
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightseg.files.limited import require_inside
from lightseg.files.names import METRICS
from lightseg.runs.records import is_finished, read_record
from lightseg.tracking.log_view import LogView
from lightseg.tracking.rows import STEP
from lightseg.visualization.figures import example_folder


class PictureView(LogView):
    """Sends the numbers and pictures of a run folder.

    Args:
        folder: The run folder.
        newest: The newest step that the tool has completely; -1 if it has none.

    Attributes:
        steps: Number of steps sent by this view.
        pictures: Number of pictures sent by it.
    """

    def __init__(self, folder: Path, newest: int) -> None:
        super().__init__(folder)
        self._newest = newest
        self.steps = self.pictures = 0

    def complete(self) -> None:
        """Send the last row of a finished run with its final scores; that of another one may grow after a resume."""
        row = self._rows.newest()
        if row is None or not is_finished(self.folder):
            return
        final = read_record(self.folder / METRICS)
        self._update_extremes(row)
        results = {name: value for name, value in final.items() if name.startswith("train/") and value is not None}
        best = {f"{name}.{kind}": value for name, extreme in self._extremes.items() for kind, value in extreme.items()}
        images, split = self.folder / "images", "test" if "test/score" in final else "val"
        with TemporaryDirectory() as temporary:
            worst = Path(temporary, "worst.png")
            example_folder(images / "worst", worst)
            # classes that may overlap have the second instead of the first
            pictures = {
                "confusion_matrix": images / "confusion.png",
                "precision_recall": images / "precision_recall.png",
            }
            pictures = {f"{split}/{name}": path for name, path in {**pictures, "worst": worst}.items()}
            self._send_once({**row, **results, **best}, pictures)

    @abstractmethod
    def end(self, exit_code: int) -> None:
        """End the view of a run that ends with this exit code."""

    @abstractmethod
    def _write(self, step: int, numbers: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        """Write numbers and PNG files of a step that the tool does not have completely."""

    def _send(self, row: dict[str, Any]) -> None:
        self._update_extremes(row)
        self._send_once(row, {})

    def _send_once(self, row: Mapping[str, Any], pictures: Mapping[str, Path]) -> None:
        """Write a row with the snapshot of its step unless the tool has it."""
        step = row[STEP]
        if step <= self._newest:
            return
        with TemporaryDirectory() as temporary:
            samples = Path(temporary, "samples.png")
            example_folder(self.folder / "images" / "samples" / f"{step:08d}", samples)
            available = {name: path for name, path in {"val/samples": samples, **pictures}.items() if path.is_file()}
            for path in available.values():
                require_inside(path)
            self._write(step, row, available)
        self._newest = step
        self.steps += 1
        self.pictures += len(available)
