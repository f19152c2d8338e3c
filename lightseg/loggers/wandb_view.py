"""What W&B shows of a run, as a function of the run folder alone: so it can be shown again, later and elsewhere.

Bounded: pictures of at most 4 images at no more than 10 steps, and of 16 in the table of the worst, each of at most 512
pixels (see `lightseg.callbacks.Samples` and `lightseg.examples`); the panels have C bars and C × C cells.
"""

import contextlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lightseg.checkpoint import BEST as BEST_FILE
from lightseg.examples import image_scores, read_examples, worst
from lightseg.labels import IGNORE
from lightseg.loggers.run_log import read_log
from lightseg.loggers.wandb_rows import STEP, Rows, summary_of
from lightseg.per_image import Evaluation
from lightseg.pictures import Example


class View:
    """Sends to a wandb run what the run folder holds and W&B does not have yet.

    Args:
        folder: The run folder.
        run: The wandb run; it takes rows from its `starting_step` on.
        log_checkpoint: Whether the best checkpoint becomes an artifact when the run is finished.
    """

    def __init__(self, folder: Path, run: Any, log_checkpoint: bool) -> None:
        self.folder, self.run, self.log_checkpoint = folder, run, log_checkpoint
        self._rows, self._offset, self._named = Rows(), 0, set[str]()
        self._using: threading.Thread | None = None

    def follow(self) -> None:
        """Send every row that has become whole."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        # what a kill left of a last line is left out
        complete = text[: text.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            if row := self._rows.add(json.loads(line)):
                self._send(row)

    def complete(self) -> None:
        """Send what a finished run has beside: its last row, with tables and panels, its summary, its checkpoint.

        Nothing of a run that is not: it may go on, and then its last row may grow.
        """
        if self._using is not None:
            self._using.join(5)
        if not (self.folder / "metrics.json").exists():
            return
        final = json.loads((self.folder / "metrics.json").read_text())
        if self.log_checkpoint and (self.folder / "checkpoints" / BEST_FILE).exists():
            self._send_checkpoint(final)
        if row := self._rows.newest():
            self._send(row | self._panels(final))
        self.run.summary.update({name: value for name, value in final.items() if name.startswith("train/")})

    def use_data(self) -> None:
        """Say which data the run uses, as lineage; beside the training, since the client waits for an answer."""
        import wandb

        recipe, fingerprint = config(self.folder), (self.folder / "data.json").read_text()
        name = recipe["data"]["class_path"].rpartition(".")[2]
        artifact = wandb.Artifact(f"data-{name}", "dataset", metadata=json.loads(fingerprint))
        # the same content is the same version, of all runs
        with artifact.new_file("data.json") as file:
            file.write(fingerprint)

        def use() -> None:
            with contextlib.suppress(Exception):  # a lost service is said elsewhere
                self.run.use_artifact(artifact)

        self._using = threading.Thread(target=use, daemon=True)
        self._using.start()

    def _send(self, row: dict[str, Any]) -> None:
        for name in row.keys() - self._named - {STEP}:
            self.run.define_metric(name, step_metric=STEP, summary=summary_of(name))
            self._named.add(name)
        if row[STEP] >= self.run.starting_step:
            samples, classes = read_examples(self.folder / "images" / "samples" / f"{row[STEP]:08d}")
            if samples:
                row["val/samples"] = [picture(example, classes) for example in samples]
            self.run.log(row, step=row[STEP])

    def _panels(self, final: dict[str, Any]) -> dict[str, Any]:
        """The confusion matrix, the bars of the classes and the table of the worst images, of test or else val."""
        import wandb

        split = "test" if "test/score" in final else "val"
        evaluation = Evaluation.read(self.folder, split)
        if evaluation is None:
            return {}
        classes = evaluation.classes
        counts = np.loadtxt(self.folder / f"confusion_{split}.csv", np.int64, delimiter=",", skiprows=1, ndmin=2)
        cells = [[truth, said, int(counts[i, j])] for i, truth in enumerate(classes) for j, said in enumerate(classes)]
        columns: list[Any] = ["Actual", "Predicted", "nPredictions"]
        matrix = wandb.plot_table(
            "wandb/confusion_matrix/v1",
            wandb.Table(columns, cells),
            {name: name for name in columns},
            {"title": f"{split}: confusion matrix"},
        )
        measure = "iou" if evaluation.kind == "segmentation" else "recall"
        bars = [[name, final.get(f"{split}/{measure}/{name}")] for name in classes]
        table = wandb.Table(["class", measure], [bar for bar in bars if bar[1] is not None])
        return {
            f"{split}/confusion_matrix": matrix,
            f"{split}/per_class": wandb.plot.bar(table, "class", measure, title=f"{split}: {measure} of each class"),
            f"{split}/worst": self._worst(evaluation),
        }

    def _worst(self, evaluation: Evaluation) -> Any:
        import wandb

        chosen, scores = worst(evaluation), image_scores(evaluation)
        examples, classes = read_examples(self.folder / "images" / "worst")
        overall, each = ("mIoU", "IoU") if evaluation.kind == "segmentation" else ("correct", "found")
        rows = []
        for index, example in zip(chosen, examples, strict=False):
            own = [None if np.isnan(score) else float(score) for score in scores[index]]
            rows.append([picture(example, classes), example.name, float(np.nanmean(scores[index])), *own])
        return wandb.Table(["image", "name", overall, *[f"{each} {name}" for name in evaluation.classes]], rows)

    def _send_checkpoint(self, final: dict[str, Any]) -> None:
        import wandb

        told = facts(self.folder)
        artifact = wandb.Artifact(
            f"model-{self.run.id}",
            "model",
            metadata={
                "score": final.get("val/score"),
                "step": self._rows.best_step,
                "recipe": self.folder.parent.name,
                "data": told["data"],
            },
        )
        artifact.add_file(str(self.folder / "checkpoints" / BEST_FILE), policy="immutable", skip_cache=True)
        self.run.log_artifact(artifact, aliases=["best"])


def extent(folder: Path) -> dict[str, Any]:
    """How much of a run there is to show: up to which step rows are whole (-1: none), and whether it is finished."""
    rows, step = Rows(), -1
    for line in read_log(folder) if (folder / "metrics.jsonl").exists() else []:
        if row := rows.add(line):
            step = row[STEP]
    finished = (folder / "metrics.json").exists()
    newest = rows.newest()
    return {"step": newest[STEP] if finished and newest else step, "finished": finished}


def picture(example: Example, classes: Sequence[str]) -> Any:
    """An image with prediction and truth as overlays that can be switched on and off, or named in its caption."""
    import wandb

    if not example.target.ndim:
        truth, said = classes[int(example.target)], classes[int(example.prediction)]
        return wandb.Image(example.image, caption=f"{example.name}: {truth} / {said}")
    labels = {**dict(enumerate(classes)), IGNORE: "void"}
    layers = {"prediction": example.prediction, "ground_truth": example.target}
    masks = {name: {"mask_data": mask.astype(np.uint8), "class_labels": labels} for name, mask in layers.items()}
    return wandb.Image(example.image, masks=masks, caption=example.name)


def config(folder: Path) -> dict[str, Any]:
    """What W&B knows of a run before it starts: the recipe as it is in `config.yaml`, and under `run` its facts."""
    return {**yaml.safe_load((folder / "config.yaml").read_text()), "run": facts(folder)}


def facts(folder: Path) -> dict[str, Any]:
    """Code, data, model, packages and hardware of a run, without the paths of its machine."""
    names = ("git", "data", "model", "env")
    git, data, model, env = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    hardware = {name: value for name, value in env.items() if name not in ("import_path", "executable", "packages")}
    return {"git": git, "data": data, "model": model, "packages": env["packages"], "hardware": hardware}
