"""Callbacks that a benchmark adds to a recipe: they measure time while lightseg trains."""

import time
from typing import Any, ClassVar

import lightning as L
from turns import report, wait_for_turn


class Clock(L.Callback):
    """Images per second from the end of the warm-up to the end of the last step.

    Args:
        warmup: Steps before the clock starts.

    Attributes:
        rates: One number for each training in this process.
    """

    rates: ClassVar[list[float]] = []

    def __init__(self, warmup: int = 3) -> None:
        self.warmup, self._images, self._start = warmup, 0, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, _task: Any, outputs: Any, batch: Any, _index: int) -> None:
        """Count the images after the warm-up."""
        if trainer.global_step > self.warmup:
            self._images += len(batch["image"])
        if trainer.global_step in (self.warmup, trainer.max_steps):
            # the device's queue would hide the time of a step
            outputs["loss"].item()
        if trainer.global_step == self.warmup:
            self._start = time.perf_counter()
        if trainer.global_step == trainer.max_steps:
            self.rates.append(self._images / (time.perf_counter() - self._start))


class StepTurns(L.Callback):
    """Trains as many steps as the benchmark asks for and reports their seconds; see `turns.py`.

    Of several processes the first reports; the others wait for it, so that nobody computes out of turn.
    """

    def __init__(self) -> None:
        self._last_step = self._start = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Wait for the first turn once there is a first batch."""
        if self._last_step == 0:
            self._wait(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, _task: Any, outputs: Any, *_: Any) -> None:
        """Report the turn at its last step, and wait for the next."""
        if trainer.global_step == self._last_step:
            outputs["loss"].item()
            if trainer.is_global_zero:
                report(f"turn {time.perf_counter() - self._start}")
            self._wait(trainer)

    def _wait(self, trainer: L.Trainer) -> None:
        steps = wait_for_turn() if trainer.is_global_zero else 0
        self._last_step = trainer.global_step + trainer.strategy.broadcast(steps)
        self._start = time.perf_counter()


class EpochTurns(L.Callback):
    """Trains an epoch at each turn and reports its seconds, validation apart; see `turns.py`."""

    def on_train_start(self, *_: Any) -> None:
        """Wait for the first turn."""
        wait_for_turn()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, _task: Any, outputs: Any, *_: Any) -> None:
        """Report the turn at the last step of the epoch."""
        if trainer.is_last_batch:
            outputs["loss"].item()
            report(f"turn {time.perf_counter() - self._start}")

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Wait for the next turn; validation is over by now."""
        if trainer.current_epoch + 1 != trainer.max_epochs and wait_for_turn() == 0:
            trainer.should_stop = True
