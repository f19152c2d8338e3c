"""Training throughput in images per second."""

import time

import lightning as L
import torch

from lightseg.data.types import Batch
from lightseg.tasks import Task


class Throughput(L.Callback):
    """Logs training images per second over all processes, `train/images_per_s`, at every logging interval.

    The time between batches counts, validation does not.
    """

    def __init__(self) -> None:
        self._images, self._since = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, task: Task) -> None:  # type: ignore[override]
        """Set the interval to at most one epoch."""
        interval = min(trainer.log_every_n_steps, trainer.num_training_batches)  # type: ignore[attr-defined]
        trainer.log_every_n_steps = max(1, int(interval))  # type: ignore[attr-defined]
        # a run that is resumed inside an epoch has no call at its start
        self._restart()

    def on_train_epoch_start(self, trainer: L.Trainer, task: Task) -> None:  # type: ignore[override]
        """Start the clock."""
        self._restart()

    def on_validation_end(self, trainer: L.Trainer, task: Task) -> None:  # type: ignore[override]
        """Restart the clock, to exclude the validation."""
        self._restart()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the batch, and log at the trainer's interval."""
        self._images += len(batch["image"]) * trainer.world_size
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % interval == 0 or trainer.is_last_batch:
            rate = self._images / (time.perf_counter() - self._since)
            task.log("train/images_per_s", torch.tensor(rate, device=task.device))
            self._restart()

    def _restart(self) -> None:
        self._images, self._since = 0, time.perf_counter()
