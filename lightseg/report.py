"""What a finished run leaves and prints: numbers, pictures, a table."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from rich.console import Console
from rich.table import Table

from lightseg import pictures
from lightseg.data import ImageDataModule
from lightseg.loggers import Wandb
from lightseg.loggers.run_log import plain_number
from lightseg.per_image import Evaluation
from lightseg.run import write_json
from lightseg.tasks import Stage, Task

PROTOCOL = "whole images, scored at the size of their ground truth"

EXAMPLES = {"segmentation": 4, "classification": 24}
"""How many images are shown, spread evenly over the split."""


def report(
    folder: Path, task: Task, which: str, data: ImageDataModule, results: dict[str, float], loggers: list[Logger]
) -> None:
    """Write `metrics.json` and the pictures, pass both on to the loggers, and print the table.

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
    for name, counts in task.counts.items():
        np.savetxt(folder / f"confusion_{name}.csv", counts, "%d", ",", header=",".join(task.classes), comments="")
        _evaluation(task, data, name).write(folder)
    paths = _draw(folder, task, data, split, loggers)
    _print(task, which, results)
    print(*[f"picture: {path}" for path in paths], sep="\n")
    for logger in loggers:
        logger.finalize("success")
    # the last of all: it says that the run is finished
    write_json(folder / "metrics.json", {name: plain_number(value) for name, value in results.items()})


def _evaluation(task: Task, data: ImageDataModule, split: Stage) -> Evaluation:
    dataset = data.dataset(split)
    return Evaluation(
        task.kind,
        split,
        data=dataset.fingerprint(),
        protocol=PROTOCOL,
        classes=task.classes,
        images=[dataset.name(index) for index in range(len(dataset))],
        rows=task.image_counts[split].numpy(),
    )


def _draw(folder: Path, task: Task, data: ImageDataModule, split: Stage, loggers: list[Logger]) -> list[Path]:
    """Draw what there is to see; returns the files."""
    images = folder / "images"
    curve, matrix, predictions = (images / f"{name}.png" for name in ("learning_curve", "confusion", "predictions"))
    pictures.learning_curve(folder, curve)
    pictures.confusion_matrix(task.counts[split].numpy(), task.classes, matrix)
    examples = predict_examples(task, data, split)
    if task.kind == "segmentation":
        pictures.segmentation_examples(examples, task.classes, data.palette, predictions)
    else:
        pictures.classification_examples(examples, task.classes, predictions)
    for logger in loggers:
        if isinstance(logger, Wandb):
            for path in (curve, matrix, predictions):
                logger.log_picture(f"{split}/{path.stem}", path)
            if task.kind == "segmentation":
                logger.log_masks(f"{split}/samples", examples, task.classes)
    return [curve, matrix, predictions]


@torch.inference_mode()
def predict_examples(task: Task, data: ImageDataModule, split: Stage) -> list[pictures.Example]:
    """The same few images every time, with their predictions, at the size of their ground truth."""
    dataset, task = data.dataset(split), task.cpu().eval()
    wanted = EXAMPLES[task.kind]
    indices = np.linspace(0, len(dataset) - 1, min(wanted, len(dataset))).astype(int)
    examples = []
    for index in map(int, indices):
        image, target = dataset[index]
        prediction = task.logits_at_target(data.eval_batch(index, split)).argmax(1)[0].numpy()
        examples.append(
            pictures.Example(dataset.name(index), _visible(image), np.asarray(target, np.int64), prediction)
        )
    return examples


def _visible(image: Any) -> pictures.Image:
    """Any image as 8-bit RGB: the first three channels, a single one repeated."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image[..., :3]


def _print(task: Task, which: str, results: dict[str, float]) -> None:
    """The final table: overall scores, then one row per class, for every split that was scored."""
    splits = [split for split in ("val", "test") if f"{split}/score" in results]
    table = Table(title=f"{type(task.net).__name__}, {which} checkpoint", title_justify="left")
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    names = [name.partition("/")[2] for name in results if name.startswith(f"{splits[0]}/")]
    for name in names:
        if name not in ("score", "loss"):
            table.add_row(name, *[_cell(results.get(f"{split}/{name}")) for split in splits])
    Console().print(table)


def _cell(value: float | None) -> str:
    return "" if value is None else "absent" if np.isnan(value) else f"{value:.4f}"
