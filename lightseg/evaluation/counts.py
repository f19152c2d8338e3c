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
"""Largest difference of the score of the re-loaded checkpoint to the logged one; GPU kernels may not be exact."""


def score_split(
    trainer: L.Trainer, task: Task, data: ImageDataModule, split: Stage, name: str, is_whole: bool = True
) -> dict[str, float]:
    """Score a split and check that its counts are complete; used by the training and by `evaluate`.

    Args:
        trainer: The trainer, of one process or several.
        task: The task; its `counts` and `image_counts` of the split are those of this scoring afterwards.
        data: The data.
        split: The split.
        name: Name of the split in messages.
        is_whole: Whether every pixel of the split is scored, so that none may be missing.

    Returns:
        The scores of the task by name, and its `loss`.

    Raises:
        RunError: If a valid pixel was left out or counted twice.
    """
    evaluate = trainer.validate if split == "val" else trainer.test
    evaluate(task, datamodule=data, verbose=False)
    counts = task.counts[split]
    if is_whole:
        right = int(task.count_classes(counts)[0].sum())
        require_all(counts.sum(-1), right, task.image_counts[split], data.truth_table(split), name)
    return task.split_scores(split) | {"loss": float(trainer.callback_metrics[f"{split}/loss"])}


def require_all(truth: Tensor, right: int, per_image_counts: Tensor, truth_table: ClassCounts, split: str) -> None:
    """Check that every valid pixel (or sample) of a split was counted exactly once, in total and in each image.

    Args:
        truth: Counted pixels of each class, int64 `(C,)`; of overlapping classes, those without and with it, `(C, 2)`.
        right: Counted true positives of all classes.
        per_image_counts: Rows of `PerImageCounts.compute`: image, class, right, true and predicted pixels.
        truth_table: Pixels of each sample of the data, `ImageDataModule.truth_table`.
        split: Name of the split in messages.

    Raises:
        RunError: If a pixel was left out or counted twice.
    """
    expected = truth_table.sum(0)
    if truth.tolist() != expected.tolist():
        raise RunError(
            f"{split} holds {expected.sum()} valid pixels (or samples), but {int(truth.sum())} were counted, or of "
            "other classes: its score cannot be trusted. Has the data changed meanwhile?"
        )
    pixels = torch.from_numpy(truth_table[..., 1] if truth_table.ndim == 3 else truth_table.copy())
    images, classes = per_image_counts[:, 0], per_image_counts[:, 1]
    is_complete = torch.equal(per_image_counts[:, 3], pixels[images, classes])
    if not is_complete or per_image_counts[:, 2].sum() != right:
        raise RunError(f"{split}: the counts of its images do not add up to its score, which cannot be trusted")


def evaluation_of(task: Task, data: ImageDataModule, split: Stage, name: str) -> PerImageResults:
    """Return the per-image results of a split that was just scored.

    Args:
        task: The task that scored it.
        data: The data.
        split: The split.
        name: Name of the split in the results.
    """
    dataset, rows = data.dataset(split), task.image_counts[split].numpy()
    indices, positions = np.unique(rows[:, 0], return_inverse=True)
    return PerImageResults(
        task.score_kind,
        name,
        data=data.split_fingerprint(split),
        protocol=str(task.protocol),
        classes=task.classes,
        images=[dataset.name(int(index)) for index in indices],
        indices=indices,
        rows=np.column_stack([positions, rows[:, 1:]]),
    )


def write_counts(folder: Path, counts: Tensor, evaluation: PerImageResults) -> None:
    """Write `confusion_SPLIT.csv`, or `histogram_SPLIT.csv` of overlapping classes, and `per_image_SPLIT.npz`.

    Args:
        folder: The folder of the files.
        counts: The confusion matrix, int64 `(C, C)`, or the histogram of the probabilities, `(C, 2, BINS)`.
        evaluation: The per-image results.
    """
    name, rows = "confusion", [evaluation.classes, *counts.tolist()]
    if counts.ndim == 3:
        name, rows = "histogram", [["class", "truth", *range(counts.shape[2])]]
        for label, histograms in zip(evaluation.classes, counts.tolist(), strict=True):
            rows += [[label, truth, *histogram] for truth, histogram in enumerate(histograms)]
    with (folder / f"{name}_{evaluation.split}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    evaluation.write(folder)
