"""View of a run in W&B, a function of the run folder alone, so that it can be repeated later and elsewhere.

Its size is bounded: pictures of at most 4 images at 10 steps, and of 16 in the table of the worst images, each of at
most 512 pixels (see `lightseg.callbacks.PredictionSnapshots`); C bars, and C × C cells of the confusion matrix, of
which only the nonzero ones are sent above W&B's limit, and none if these exceed it too (`confusion_*.csv` has all).
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightseg.files.limited import require_inside, require_limited
from lightseg.files.names import BEST as BEST_FILE
from lightseg.files.names import METRICS
from lightseg.labels import IGNORE
from lightseg.metrics.absent_classes import absent
from lightseg.metrics.per_image import PerImageResults
from lightseg.metrics.scores import mean
from lightseg.runs.metrics_log import LOG_BYTES
from lightseg.runs.records import is_finished, read_record
from lightseg.tracking.log_view import LogView, config, facts
from lightseg.tracking.rows import STEP, summary_of
from lightseg.tracking.wandb_service import within
from lightseg.visualization.examples import Example, describe_labels, image_scores, read_examples, worst

MEASURES = {
    "segmentation": ("iou", "mIoU", "IoU"),
    "classification": ("recall", "correct", "found"),
    "multilabel_segmentation": ("iou", "mIoU", "IoU"),
    "multilabel_classification": ("f1", "mean IoU", "IoU"),
}
"""Score of a class in `metrics.json`, and names of the scores of an image and of a class in it, by kind of task."""

CELLS = 10_000
"""Maximum number of rows of a W&B table."""


class View(LogView):
    """Sends the parts of a run folder to a wandb run that W&B does not have yet.

    Args:
        folder: The run folder.
        run: The wandb run, which accepts rows from its `starting_step` on.
        log_checkpoint: Whether the best checkpoint becomes an artifact when the run is finished.

    Attributes:
        beside: Further values of the next row, which are not in the run folder.
    """

    def __init__(self, folder: Path, run: Any, log_checkpoint: bool) -> None:
        super().__init__(folder)
        self.run, self.log_checkpoint = run, log_checkpoint
        self.beside: dict[str, Any] = {}
        self._named = set[str]()

    @property
    def model(self) -> str | None:
        """Return the name of the best checkpoint's artifact; None if it is not wanted or the run not finished."""
        is_complete = is_finished(self.folder) and (self.folder / "checkpoints" / BEST_FILE).exists()
        return f"model-{self.run.id}" if self.log_checkpoint and is_complete else None

    def complete(self, again: bool = False) -> None:
        """Send the last row of a finished run with tables and panels, its summary and its checkpoint.

        For an unfinished run only the summary is sent, since its last row may grow after a resume.

        Args:
            again: Whether W&B has the last row without its pictures, which are then sent in a further row.
        """
        final: dict[str, Any] = {}
        if is_finished(self.folder):
            final = read_record(self.folder / METRICS)
            if self.model:
                self._send_checkpoint(self.model, final)
            if row := self._rows.newest():
                panels = self._panels(final)
                self._send(row | panels)
                if again:
                    self.run.log(panels | self._newest_samples(), step=self.run.starting_step, commit=True)
        # of all rows; W&B's own summary covers those since the last start
        summary = {name: value for name, value in final.items() if name.startswith("train/")}
        self.run.summary.update(summary | self._extremes)

    def use_data(self, seconds: float) -> bool:
        """Send which data the run uses, as lineage; return whether W&B has accepted it.

        Args:
            seconds: The timeout; the client itself has none.
        """
        import wandb

        path = self.folder / "data.json"
        recipe, metadata, fingerprint = config(self.folder), read_record(path), path.read_text(encoding="utf-8")
        name = recipe["data"]["class_path"].rpartition(".")[2]
        artifact = wandb.Artifact(f"data-{name}", "dataset", metadata=metadata)
        # equal content is one version, shared by all runs
        with artifact.new_file("data.json") as file:
            file.write(fingerprint)

        with contextlib.suppress(Exception):
            return within(seconds, lambda: self.run.use_artifact(artifact))
        return False

    def _send(self, row: dict[str, Any]) -> None:
        kinds = {name: summary_of(name) for name, value in row.items() if isinstance(value, int | float)}
        for name in row.keys() - self._named - {STEP}:
            # a star is a pattern; the curves are drawn over these steps
            if "*" not in name:
                self.run.define_metric(name, step_metric=STEP, summary=kinds.get(name))
            self._named.add(name)
        self._update_extremes(row)
        if row[STEP] >= self.run.starting_step:
            samples = self._samples(self.folder / "images" / "samples" / f"{row[STEP]:08d}")
            self.run.log({**self.beside, **row, **samples}, step=row[STEP], commit=True)
            self.beside = {}

    def _samples(self, folder: Path) -> dict[str, Any]:
        samples, classes = read_examples(folder)
        return {"val/samples": [picture(example, classes) for example in samples]} if samples else {}

    def _newest_samples(self) -> dict[str, Any]:
        folders = sorted((self.folder / "images" / "samples").glob("[0-9]*"))
        return self._samples(folders[-1]) if folders else {}

    def _panels(self, final: dict[str, Any]) -> dict[str, Any]:
        """Return the confusion matrix, the bars of the classes and the table of the worst images, of test or val.

        Classes that may overlap have no confusion matrix.
        """
        import wandb

        split = "test" if "test/score" in final else "val"
        evaluation = PerImageResults.read(self.folder, split)
        if evaluation is None:
            return {}
        classes = evaluation.classes
        measure = MEASURES[evaluation.kind][0]
        absences = absent(evaluation.dense[:, 1].sum(0), classes)
        labels = [f"{name} (absent)" if name in absences else name for name in classes]
        bars = [[label, final.get(f"{split}/{measure}/{name}")] for label, name in zip(labels, classes, strict=True)]
        table = wandb.Table(["class", measure], [bar for bar in bars if bar[1] is not None])
        return {
            **({} if evaluation.kind.startswith("multilabel") else self._confusion(split, classes)),
            f"{split}/per_class": wandb.plot.bar(table, "class", measure, title=f"{split}: {measure} of each class"),
            f"{split}/worst": self._worst(evaluation),
        }

    def _confusion(self, split: str, classes: Sequence[str]) -> dict[str, Any]:
        file = self.folder / f"confusion_{split}.csv"
        require_inside(file)
        require_limited(file, LOG_BYTES)
        counts = np.loadtxt(file, np.int64, delimiter=",", skiprows=1, ndmin=2)
        return _confusion(split, classes, counts)

    def _worst(self, evaluation: PerImageResults) -> Any:
        import wandb

        chosen, scores = worst(evaluation), image_scores(evaluation)
        examples, classes = read_examples(self.folder / "images" / "worst")
        _, overall, each = MEASURES[evaluation.kind]
        means = mean(scores, 1)
        rows = []
        for index, example in zip(chosen, examples, strict=False):
            score_cells = [None if np.isnan(score) else float(score) for score in scores[index]]
            rows.append([picture(example, classes), example.name, float(means[index]), *score_cells])
        return wandb.Table(["image", "name", overall, *[f"{each} {name}" for name in evaluation.classes]], rows)

    def _send_checkpoint(self, name: str, final: dict[str, Any]) -> None:
        import wandb

        record = facts(self.folder)
        artifact = wandb.Artifact(
            name,
            "model",
            metadata={
                "score": final.get("val/score"),
                "step": self._rows.best_step,
                "recipe": self.folder.parent.name,
                "data": record["data"],
            },
        )
        artifact.add_file(str(self.folder / "checkpoints" / BEST_FILE), policy="immutable", skip_cache=True)
        self.run.log_artifact(artifact, aliases=["best"])


def _confusion(split: str, classes: Sequence[str], counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    import wandb

    cells = [
        [truth, predicted, int(counts[i, j])] for i, truth in enumerate(classes) for j, predicted in enumerate(classes)
    ]
    if len(cells) > CELLS:
        cells = [cell for cell in cells if cell[2]]
    if len(cells) > CELLS:
        return {}
    columns: list[Any] = ["Actual", "Predicted", "nPredictions"]
    table, title = wandb.Table(columns, cells), {"title": f"{split}: confusion matrix"}
    axes = {name: name for name in columns}
    return {f"{split}/confusion_matrix": wandb.plot_table("wandb/confusion_matrix/v1", table, axes, title)}


def picture(example: Example, classes: Sequence[str]) -> Any:
    """Return an image with prediction and truth as overlays to switch on and off, or named in its caption."""
    import wandb

    layers = {"prediction": example.prediction, "ground_truth": example.target}
    if example.target.ndim < 2:
        predicted, truth = (describe_labels(labels, classes) for labels in layers.values())
        return wandb.Image(example.image, caption=f"{example.name}: {truth} / {predicted}")
    labels = {**dict(enumerate(classes)), IGNORE: "void"}
    if example.target.ndim == 3:
        # a layer for each class, since classes may overlap
        labels = {0: "no", 1: "yes", IGNORE: "void"}
        layers = {
            f"{name}, {kind}": layer for kind in layers for name, layer in zip(classes, layers[kind], strict=True)
        }
    masks = {name: {"mask_data": mask.astype(np.uint8), "class_labels": labels} for name, mask in layers.items()}
    return wandb.Image(example.image, masks=masks, caption=example.name)
