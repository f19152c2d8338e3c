"""Counts of a scored split: complete, exact, and as files."""

import csv
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch import Tensor

from lightseg.data import ImageDataModule
from lightseg.data.types import ClassCounts
from lightseg.errors import RunError
from lightseg.metrics.per_image import PerImageResults
from lightseg.tasks import Stage, Task

TOLERANCE = 1e-4
"""Largest difference between the score of the re-loaded checkpoint and the logged one; GPU kernels need not repeat."""


def score_split(
    trainer: L.Trainer, task: Task, data: ImageDataModule, split: Stage, name: str, is_whole: bool = True
) -> dict[str, float]:
    """Score a split and check that its counts are complete; training and `evaluate` both score by this.

    Args:
        trainer: The trainer, of one process or several.
        task: The task; its `counts` and `image_counts` of the split are those of this scoring afterwards.
        data: The data.
        split: The split.
        name: Its name in messages.
        is_whole: Whether all of it is scored, so that no pixel may be missing.

    Returns:
        The scores of the task by name, and its `loss`.

    Raises:
        RunError: If a valid pixel was left out or counted twice.
    """
    evaluate = trainer.validate if split == "val" else trainer.test
    evaluate(task, datamodule=data, verbose=False)
    counts = task.counts[split]
    if is_whole:
        require_all(counts, task.image_counts[split], data.class_table(split), name)
    return task.scores(counts) | {"loss": float(trainer.callback_metrics[f"{split}/loss"])}


def require_all(counts: Tensor, images: Tensor, table: ClassCounts, split: str) -> None:
    """See that every valid pixel (or sample) of a split was counted, and none of them twice; image by image, too.

    Args:
        counts: The confusion matrix.
        images: `PerImageCounts.compute`.
        table: Pixels of each class in each sample, as the data has them.
        split: What the split is called.

    Raises:
        RunError: If not.
    """
    truth = table.sum(0)
    if counts.sum(1).tolist() != truth.tolist():
        raise RunError(
            f"{split} holds {truth.sum()} valid pixels (or samples), but {int(counts.sum())} were counted, or of other "
            "classes: its score cannot be trusted. Has the data changed meanwhile?"
        )
    per_sample = torch.from_numpy(table.copy())
    if (
        not torch.equal(images[:, 3], per_sample[images[:, 0], images[:, 1]])
        or images[:, 2].sum() != counts.diagonal().sum()
    ):
        raise RunError(f"{split}: the counts of its images do not add up to its score, which cannot be trusted")


def evaluation_of(task: Task, data: ImageDataModule, split: Stage, name: str) -> PerImageResults:
    """Return what each image adds to a split that was just scored.

    Args:
        task: The task that it was scored with.
        data: The data.
        split: The split.
        name: What it is called.
    """
    dataset, rows = data.dataset(split), task.image_counts[split].numpy()
    indices, places = np.unique(rows[:, 0], return_inverse=True)
    return PerImageResults(
        task.kind,
        name,
        data=data.split_fingerprint(split),
        protocol=str(task.protocol),
        classes=task.classes,
        images=[dataset.name(int(index)) for index in indices],
        indices=indices,
        rows=np.column_stack([places, rows[:, 1:]]),
    )


def write_counts(folder: Path, counts: Tensor, evaluation: PerImageResults) -> None:
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
