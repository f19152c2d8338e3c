"""Report of a finished run: numbers, pictures, a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import Logger
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightseg.data import ImageDataModule
from lightseg.evaluation.counts import evaluation_of, write_counts
from lightseg.files.atomic import write_json
from lightseg.files.evenly_spaced import spread
from lightseg.files.printable import printable
from lightseg.metrics.absent_classes import RULE, absent, describe_absent
from lightseg.metrics.scores import METRICS
from lightseg.runs.metrics_log import plain_number
from lightseg.tasks import Stage, Task
from lightseg.tasks.examples import predict
from lightseg.visualization import figures
from lightseg.visualization.examples import worst, write_examples

EXAMPLES = {"segmentation": 4, "classification": 24}
"""Number of example images, evenly spaced over the split."""


def report(
    folder: Path,
    task: Task,
    checkpoint_name: str,
    data: ImageDataModule,
    results: dict[str, float],
    loggers: list[Logger],
) -> None:
    """Write `metrics.json` and the pictures, log the numbers, and print the table.

    Args:
        folder: The run folder.
        task: The re-loaded task.
        checkpoint_name: `best`, or `last` where no validation took place.
        data: The data of the scores.
        results: All final numbers by name.
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
    absences = {name: absent(evaluation.dense[:, 1].sum(0), task.classes) for name, evaluation in evaluations.items()}
    _print_table(task, checkpoint_name, results, absences)
    print(*[printable(f"picture: {path}") for path in paths], sep="\n")
    for logger in loggers:
        logger.finalize("success")
    # written last, because this file marks the run as finished
    write_json(folder / "metrics.json", {name: plain_number(value) for name, value in results.items()})


def _draw(folder: Path, task: Task, data: ImageDataModule, split: Stage) -> list[Path]:
    """Draw learning curve, confusion matrix (or curves of precision and recall) and predictions; return the files."""
    images = folder / "images"
    second = "precision_recall" if task.multilabel else "confusion"
    curve, matrix, predictions = (images / f"{name}.png" for name in ("learning_curve", second, "predictions"))
    figures.learning_curve(folder, curve)
    if task.multilabel:
        figures.precision_recall(task.counts[split].numpy(), task.classes, data.palette, matrix)
    else:
        figures.confusion_matrix(task.counts[split].numpy(), task.classes, matrix)
    examples = predict(task, data, split, spread(EXAMPLES[task.kind], len(data.dataset(split))))
    if task.kind == "segmentation":
        figures.segmentation_examples(examples, task.classes, data.palette, predictions)
    else:
        figures.classification_examples(examples, task.classes, predictions)
    return [curve, matrix, predictions]


def _print_table(
    task: Task, checkpoint_name: str, results: dict[str, float], absences: Mapping[Stage, Sequence[str]]
) -> None:
    """Print the overall scores, then one row per class, for every split that was scored."""
    stages: tuple[Stage, Stage] = ("val", "test")
    splits = [split for split in stages if f"{split}/score" in results]
    table = Table(title=f"{type(task.net).__name__}, {checkpoint_name} checkpoint", title_justify="left")
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    # the log calls it `score`
    score = next(iter(METRICS[task.score_kind]))
    names = [name.partition("/")[2] for name in results if name.startswith(f"{splits[0]}/")]
    for name in names:
        if name not in ("score", "loss"):
            label = name.partition("/")[2]
            cells = [_cell(results.get(f"{split}/{name}"), label in absences[split]) for split in splits]
            table.add_row(Text(printable(f"{name} (score)" if name == score else name)), *cells)
    if any(absences.values()):
        table.caption, table.caption_justify = RULE, "left"
    Console().print(table)


def _cell(value: float | None, is_absent: bool) -> str:
    if value is None:
        return ""
    return describe_absent(value) if is_absent or np.isnan(value) else f"{value:.4f}"
