"""Progress bar that does not hold the training up."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

_SHOWN = ("train/loss", "train/images_per_s")
"""What Lightning would read at every step, were it logged with `prog_bar`."""


class Bar(RichProgressBar):
    """Moves on where the trainer logs: the numbers beside it are on the device, and to show them is to wait for it."""

    def on_train_batch_end(
        self, trainer: L.Trainer, task: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the bar anew, with the numbers of now."""
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % interval == 0 or trainer.is_last_batch:
            super().on_train_batch_end(trainer, task, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: L.Trainer, task: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Loss and speed of the training, and what Lightning knows of the validation."""
        metrics = trainer.callback_metrics
        return {
            **super().get_metrics(trainer, task),
            **{name: float(metrics[name]) for name in _SHOWN if name in metrics},
        }
