"""What a finished run leaves and prints: numbers, pictures, a table."""

import csv
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import Logger
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from lightseg import pictures
from lightseg.absence import RULE, absent, describe_absent
from lightseg.data import ImageDataModule
from lightseg.examples import predict, worst, write_examples
from lightseg.files import write_json
from lightseg.metrics_log import plain_number
from lightseg.per_image import Evaluation
from lightseg.spread import spread
from lightseg.tasks import Stage, Task
from lightseg.text import printable

EXAMPLES = {"segmentation": 4, "classification": 24}
"""How many images are shown, spread evenly over the split."""


def report(
    folder: Path, task: Task, which: str, data: ImageDataModule, results: dict[str, float], loggers: list[Logger]
) -> None:
    """Write `metrics.json` and the pictures, pass the numbers on to the loggers, and print the table.

    Args:
        folder: The run folder.
        task: The re-loaded task.
        which: Which checkpoint it is: `best`, or `last` where no validation took place.
        data: The data it was scored on.
        results: Every final number by name.
        loggers: The loggers of the run.
    """
    split: Stage = "test" if "test/score" in results else "val"
    tested = {name: value for name, value in results.items() if name.startswith("test/")}
    for logger in loggers if tested else []:
        logger.log_metrics(tested, step=int(results["train/steps"]))
    evaluations = {name: evaluation_of(task, data, name, name) for name in task.counts}
    for name, counts in task.counts.items():
        write_counts(folder, counts, evaluations[name])
    paths = _draw(folder, task, data, split)
    lowest = predict(task, data, split, evaluations[split].indices[worst(evaluations[split])].tolist())
    write_examples(folder / "images" / "worst", lowest, task.classes, data.palette)
    _print(task, which, results)
    print(*[f"picture: {path}" for path in paths], sep="\n")
    for logger in loggers:
        logger.finalize("success")
    # the last of all: it says that the run is finished
    write_json(folder / "metrics.json", {name: plain_number(value) for name, value in results.items()})


def evaluation_of(task: Task, data: ImageDataModule, split: Stage, name: str) -> Evaluation:
    """What each image adds to a split that was just scored.

    Args:
        task: The task that it was scored with.
        data: The data.
        split: The split.
        name: What it is called.
    """
    dataset, rows = data.dataset(split), task.image_counts[split].numpy()
    indices, places = np.unique(rows[:, 0], return_inverse=True)
    return Evaluation(
        task.kind,
        name,
        data=data.split_fingerprint(split),
        protocol=str(task.protocol),
        classes=task.classes,
        images=[dataset.name(int(index)) for index in indices],
        indices=indices,
        rows=np.column_stack([places, rows[:, 1:]]),
    )


def write_counts(folder: Path, counts: Tensor, evaluation: Evaluation) -> None:
    """Write `confusion_SPLIT.csv` and `per_image_SPLIT.npz`.

    Args:
        folder: Where to.
        counts: The confusion matrix `(C, C)`.
        evaluation: What each image adds to it.
    """
    file = folder / f"confusion_{evaluation.split}.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, lineterminator="\n").writerows([evaluation.classes, *counts.tolist()])
    evaluation.write(folder)


def _draw(folder: Path, task: Task, data: ImageDataModule, split: Stage) -> list[Path]:
    """Draw what there is to see; returns the files."""
    images = folder / "images"
    curve, matrix, predictions = (images / f"{name}.png" for name in ("learning_curve", "confusion", "predictions"))
    pictures.learning_curve(folder, curve)
    pictures.confusion_matrix(task.counts[split].numpy(), task.classes, matrix)
    examples = predict(task, data, split, spread(EXAMPLES[task.kind], len(data.dataset(split))))
    if task.kind == "segmentation":
        pictures.segmentation_examples(examples, task.classes, data.palette, predictions)
    else:
        pictures.classification_examples(examples, task.classes, predictions)
    return [curve, matrix, predictions]


def _print(task: Task, which: str, results: dict[str, float]) -> None:
    """The final table: overall scores, then one row per class, for every split that was scored."""
    absences = {split: absent(counts.sum(1), task.classes) for split, counts in task.counts.items()}
    both: tuple[Stage, Stage] = ("val", "test")
    splits = [split for split in both if f"{split}/score" in results]
    table = Table(title=f"{type(task.net).__name__}, {which} checkpoint", title_justify="left")
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    names = [name.partition("/")[2] for name in results if name.startswith(f"{splits[0]}/")]
    for name in names:
        if name not in ("score", "loss"):
            label = name.partition("/")[2]
            cells = [_cell(results.get(f"{split}/{name}"), label in absences[split]) for split in splits]
            table.add_row(Text(printable(name)), *cells)
    if any(absences.values()):
        table.caption, table.caption_justify = RULE, "left"
    Console().print(table)


def _cell(value: float | None, is_absent: bool) -> str:
    if value is None:
        return ""
    return describe_absent(value) if is_absent or np.isnan(value) else f"{value:.4f}"
