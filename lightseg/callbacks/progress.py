"""Lines that a run prints: after every validation, and while a training without a progress bar lasts."""

import math
import time
from typing import Any

import lightning as L
from torch import Tensor

from lightseg.tasks import Task

_WAIT, _SHARE = 8.0, 1 / 15
"""Seconds without a line before the next one, or this share of the time since the start, if that is more."""


class EpochPrinter(L.Callback):
    """Prints one line per validation: mean training loss since the last one, validation loss and score, speed.

    Where there is no progress bar, a line tells how far the training is after 8 seconds without one; in a training
    that has lasted for more than two minutes, after a fifteenth of that.
    """

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._steps = 0
        self._start, self._next_line = 0.0, math.inf

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start to wait for the first line."""
        self._start = time.monotonic()
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
            self._restart()

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Print the line, and begin a new mean on every process."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            self._print(trainer, f"val loss {metrics['val/loss']:.4f}  val score {metrics['val/score']:.4f}")
        self._total, self._steps = 0.0, 0
        self._restart()

    @property
    def state_key(self) -> str:
        """Return the name of this state in checkpoints."""
        return "EpochLines"

    def state_dict(self) -> dict[str, Any]:
        """The mean so far."""
        return {"total": float(self._total), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the mean of an interrupted epoch."""
        self._total, self._steps = state["total"], state["steps"]

    def _restart(self) -> None:
        now = time.monotonic()
        self._next_line = now + max(_WAIT, _SHARE * (now - self._start))

    def _print(self, trainer: L.Trainer, *scores: str) -> None:
        """Print how far the training is, its mean loss since the last validation, then `scores`, then its speed."""
        total = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        speed = trainer.callback_metrics.get("train/images_per_s")
        print(
            f"epoch {trainer.current_epoch + 1}{total}  step {trainer.global_step}",
            *([f"train loss {float(self._total) / self._steps:.4f}"] if self._steps else []),
            *scores,
            f"images/s {speed:.{0 if speed >= 10 else 1}f}" if speed is not None else "",
            sep="  ",
            flush=True,
        )
