"""Progress bar that does not wait for the device."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

_SHOWN = ("train/loss", "train/images_per_s")
"""Metrics that the bar reads itself; with `prog_bar`, Lightning would read them from the device in every step."""


class Bar(RichProgressBar):
    """Updates at the logging interval only, since reading its metrics waits for the device."""

    def on_train_batch_end(
        self, trainer: L.Trainer, task: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar and its metrics."""
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % interval == 0 or trainer.is_last_batch:
            super().on_train_batch_end(trainer, task, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: L.Trainer, task: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return loss and speed of the training, and Lightning's metrics of the validation."""
        metrics = trainer.callback_metrics
        return {
            **super().get_metrics(trainer, task),
            **{name: float(metrics[name]) for name in _SHOWN if name in metrics},
        }
