"""Progress lines: one per validation, and some within training, validation and test without a progress bar."""

import math
import time
from typing import Any

import lightning as L
from torch import Tensor

from lightseg.tasks import Task

_WAIT, _SHARE = 8.0, 1 / 15
"""Seconds without a line before the next one, or this share of the time of the training, if that is more."""


class _Clock:
    """Time of the next line, where there is no progress bar.

    Args:
        share: Share of the time since the start that passes without a line, if that is more than 8 seconds.
    """

    def __init__(self, share: float) -> None:
        self._share, self._start, self.next_line = share, 0.0, math.inf

    def start(self) -> None:
        """Start at the first batch."""
        self._start = time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Set the time of the next line, after a line."""
        now = time.monotonic()
        self.next_line = now + max(_WAIT, self._share * (now - self._start))

    def is_due(self, trainer: L.Trainer) -> bool:
        """Return whether it is time for a line of this process."""
        is_late = time.monotonic() >= self.next_line
        return is_late and trainer.is_global_zero and not trainer.progress_bar_callback


class ScoringPrinter(L.Callback):
    """Prints a line every 8 seconds of a validation or test without a progress bar; a shorter one is quiet."""

    def __init__(self) -> None:
        self._clock = _Clock(share=0.0)

    def on_validation_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self._clock.start()

    def on_test_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self._clock.start()

    def on_validation_batch_start(
        self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Print a line if it is due; after the last batch, the scores could follow at once."""
        if self._clock.is_due(trainer):
            self._print("val", batch_idx, trainer.num_val_batches)

    def on_test_batch_start(
        self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Print a line if it is due; after the last batch, the scores could follow at once."""
        if self._clock.is_due(trainer):
            self._print("test", batch_idx, trainer.num_test_batches)

    def _print(self, split: str, finished: int, totals: list[int | float]) -> None:
        print(f"scoring {split}: batch {finished}/{totals[0]}", flush=True)
        self._clock.restart()


class EpochPrinter(L.Callback):
    """Prints one line per validation: mean training loss since the last one, validation loss and score, speed.

    Without a progress bar, a line is also printed when 8 seconds have passed since the last one; in a training that
    has lasted for more than two minutes, when a fifteenth of that has. The speed is that since the last line.
    """

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._steps = self._images = 0
        self._clock = _Clock(_SHARE)
        self._last_line = self._last_step = 0.0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self._clock.start()
        self._restart()

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Print a line if it is due; at the end of a step, the line of a validation could follow at once."""
        if self._images and self._clock.is_due(trainer):
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
        self._images, self._last_line = 0, time.monotonic()
        self._clock.restart()

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
