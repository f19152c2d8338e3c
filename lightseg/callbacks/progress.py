"""Progress lines: one per validation, and some between validations where there is no progress bar."""

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

    Without a progress bar, a line is also printed when 8 seconds have passed since the last one; in a training that
    has lasted for more than two minutes, when a fifteenth of that has. The speed is that since the last line.
    """

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._steps = self._images = 0
        self._start = self._last_line = self._last_step = 0.0
        self._next_line = math.inf

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()
        self._restart()

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Print a line if it is due; not at the end of a step, where a validation may print one."""
        is_due = time.monotonic() >= self._next_line and self._images > 0
        if is_due and trainer.is_global_zero and not trainer.progress_bar_callback:
            self._print(trainer)
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
        self._images += len(batch["image"]) * trainer.world_size
        self._last_step = time.monotonic()
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._total = self._total + task.step_loss
            self._steps += 1

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
        """Return the sum of the losses since the last validation, and the number of steps."""
        return {"total": float(self._total), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume the mean of an interrupted epoch."""
        self._total, self._steps = state["total"], state["steps"]

    def _restart(self) -> None:
        now = time.monotonic()
        self._images, self._last_line = 0, now
        self._next_line = now + max(_WAIT, _SHARE * (now - self._start))

    def _print(self, trainer: L.Trainer, *scores: str) -> None:
        """Print epoch, step, mean loss since the last validation, `scores`, and speed since the last line."""
        total = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        parts = [f"epoch {trainer.current_epoch + 1}{total}", f"step {trainer.global_step}"]
        if self._steps:
            parts.append(f"train loss {float(self._total) / self._steps:.4f}")
        parts += scores
        if self._images:
            speed = self._images / max(self._last_step - self._last_line, 1e-9)
            parts.append(f"images/s {speed:.{0 if speed >= 10 else 1}f}")
        print(*parts, sep="  ", flush=True)
