"""Lines that a run prints: after every validation, and while a training without a progress bar lasts."""

import math
import time
from typing import Any

import lightning as L
from torch import Tensor

from lightseg.tasks import Task

_FIRST_WAIT = 8.0
"""Seconds without a line before the first one between two validations; each further one takes twice as long."""


class EpochLines(L.Callback):
    """Prints one line per validation: mean training loss since the last one, validation loss and score, speed.

    Where there is no progress bar, a line tells every now and then how far the training is: after 8 seconds without a
    line, then after 16, and so on until the next validation.
    """

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._steps = 0
        self._next_line, self._wait = math.inf, _FIRST_WAIT

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start to wait for the first line."""
        self._restart()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add up the losses of the steps, without waiting for the device."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._total = self._total + task.step_loss
            self._steps += 1
        if time.monotonic() >= self._next_line and trainer.is_global_zero and not trainer.progress_bar_callback:
            self._print(trainer)
            self._wait *= 2
            self._next_line = time.monotonic() + self._wait

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Print the line, and begin a new mean on every process."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            self._print(trainer, f"val loss {metrics['val/loss']:.4f}  val score {metrics['val/score']:.4f}")
        self._total, self._steps = 0.0, 0
        self._restart()

    def state_dict(self) -> dict[str, Any]:
        """The mean so far."""
        return {"total": float(self._total), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the mean of an interrupted epoch."""
        self._total, self._steps = state["total"], state["steps"]

    def _restart(self) -> None:
        self._next_line, self._wait = time.monotonic() + _FIRST_WAIT, _FIRST_WAIT

    def _print(self, trainer: L.Trainer, *scores: str) -> None:
        """Print how far the training is, its mean loss since the last validation, then `scores`, then its speed."""
        total = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        speed = trainer.callback_metrics.get("train/images_per_s")
        print(
            f"epoch {trainer.current_epoch + 1}{total}  step {trainer.global_step}",
            f"train loss {float(self._total) / max(1, self._steps):.4f}",
            *scores,
            f"images/s {speed:.{0 if speed >= 10 else 1}f}" if speed is not None else "",
            sep="  ",
            flush=True,
        )
