"""Predictions of a few images of a split, as examples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from lightseg.data import ImageDataModule
from lightseg.data.io.images import visible
from lightseg.data.loading.collate import to_device
from lightseg.tasks.base import Task
from lightseg.tasks.scored_task import Stage
from lightseg.visualization.examples import Example


def predict(task: Task, data: ImageDataModule, split: Stage, indices: Iterable[int]) -> list[Example]:
    """Predict some images of a split at the size of their targets, on the task's device."""
    dataset, examples = data.dataset(split), []
    for index in indices:
        image, _ = dataset[index]
        batch = to_device(data.eval_batch(index, split), task.device)
        with torch.inference_mode():
            prediction = task.decide(task.logits_at_target(batch))[0].cpu().numpy()
        truth = batch["target"][0].cpu().numpy()
        examples.append(Example(dataset.name(index), visible(image), truth.astype(np.int64), prediction))
    return examples
