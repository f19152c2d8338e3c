"""Callbacks that a benchmark adds to a recipe: they look at the clock while lightseg trains."""

import time
from typing import Any, ClassVar

import lightning as L
from turns import tell, wait_for_turn


class Clock(L.Callback):
    """Images per second from the end of the warm-up to the end of the last step.

    Args:
        warmup: Steps before the clock starts.

    Attributes:
        rates: What was measured, one number for each training in this process.
    """

    rates: ClassVar[list[float]] = []

    def __init__(self, warmup: int = 3) -> None:
        self.warmup, self._images, self._since = warmup, 0, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, _task: Any, outputs: Any, batch: Any, _index: int) -> None:
        """Count what follows the warm-up."""
        if trainer.global_step > self.warmup:
            self._images += len(batch["image"])
        if trainer.global_step in (self.warmup, trainer.max_steps):
            # the device's queue would hide what a step costs
            outputs["loss"].item()
        if trainer.global_step == self.warmup:
            self._since = time.perf_counter()
        if trainer.global_step == trainer.max_steps:
            self.rates.append(self._images / (time.perf_counter() - self._since))


class Turns(L.Callback):
    """Trains an epoch when it is told to, and tells how long that took, validation apart; see `turns.py`."""

    def on_train_epoch_start(self, *_: Any) -> None:
        """Wait for the turn."""
        wait_for_turn()
        self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, _task: Any, outputs: Any, *_: Any) -> None:
        """Tell the seconds when the epoch is over."""
        if trainer.is_last_batch:
            outputs["loss"].item()
            tell(f"epoch {time.perf_counter() - self._since}")
