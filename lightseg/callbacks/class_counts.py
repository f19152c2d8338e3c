"""Class counts of the training samples, after sampling and augmentation."""

from typing import Any

import lightning as L
import torch

from lightseg.data.types import Batch
from lightseg.tasks import Task


class ClassCounter(L.Callback):
    """Counts the pixels (or samples) of each class in all optimizer steps, over all processes; void is excluded.

    The counts are those of the batches that the loss receives. They are exact as long as a step has fewer than 2
    million pixels of a class, and have seven correct digits beyond.
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
        """Add the counts of the step, without waiting for the device."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or task.step_counts is None:
            return
        step, batches = task.step_counts, trainer.world_size * trainer.accumulate_grad_batches
        # rounded, since it is a mean of integers multiplied by their number
        step = step.long() if batches == 1 else (step * batches).round().long()
        self.counts = step + self.counts.to(step.device) if len(self.counts) else step

    def shares(self, classes: list[str]) -> dict[str, float]:
        """Return the share of each class by name, of overlapping classes in its own pixels; empty without counts."""
        counts = self.counts.cpu()
        # (C,) or, of pixels without and with each class, (C, 2)
        parts, totals = (
            (counts[:, 1], counts.sum(1)) if counts.ndim == 2 else (counts, counts.sum().expand(len(counts)))
        )
        pairs = zip(classes, parts.tolist(), totals.tolist(), strict=False)
        return {name: part / total for name, part, total in pairs if total}

    @property
    def state_key(self) -> str:
        """Return the name of this state in checkpoints."""
        return "DrawnClasses"

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"counts": self.counts.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the counts of a checkpoint."""
        self.counts = torch.tensor(state["counts"], dtype=torch.int64)
