"""Class counts of the training samples, as they were drawn."""

from typing import Any

import lightning as L
import torch

from lightseg.data.types import Batch
from lightseg.tasks import Task


class ClassCounter(L.Callback):
    """Counts the pixels (or samples) of each class in all optimiser steps, over all processes; void does not count.

    What is counted is what the loss saw: drawn, pasted and cropped as the recipe says. The counts are exact as long as
    a step has fewer than 2 million of a class, and to seven digits beyond.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(0, dtype=torch.int64)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Add what the step holds, without waiting for the device."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or task.step_counts is None:
            return
        step, batches = task.step_counts, trainer.world_size * trainer.accumulate_grad_batches
        # a mean of whole numbers, so that times their number is one but for rounding
        step = step.long() if batches == 1 else (step * batches).round().long()
        self.counts = step + self.counts.to(step.device) if len(self.counts) else step

    def shares(self, classes: list[str]) -> dict[str, float]:
        """Return the share of each class among all that was drawn, by name; nothing where nothing was counted."""
        total = int(self.counts.sum())
        return {name: count / total for name, count in zip(classes, self.counts.tolist(), strict=True)} if total else {}

    @property
    def state_key(self) -> str:
        """Return the name of this state in checkpoints."""
        return "DrawnClasses"

    def state_dict(self) -> dict[str, Any]:
        """Return the counts so far."""
        return {"counts": self.counts.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.counts = torch.tensor(state["counts"], dtype=torch.int64)
