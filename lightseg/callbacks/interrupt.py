"""Ctrl-C ends a run between two training steps, with its last checkpoint written."""

import signal
import sys
from types import FrameType
from typing import Any

import lightning as L


class Interrupt(L.Callback):
    """Turns the first Ctrl-C into a stop after the running step, on every process at the same step.

    A validation that is running is finished first. A second Ctrl-C stops at once.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Listen."""
        self._before = signal.signal(signal.SIGINT, self._ask)

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Listen no more."""
        self._restore()

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        """Listen no more."""
        self._restore()

    def on_train_batch_end(
        self, trainer: L.Trainer, task: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop here if asked to; several processes agree on it where the trainer logs, and not at every step."""
        if trainer.world_size > 1:
            interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
            if (batch_idx + 1) % interval and not trainer.is_last_batch:
                return
            self._asked = trainer.strategy.reduce_boolean_decision(self._asked, all=False)
        if self._asked:
            raise KeyboardInterrupt

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print("\nstopping after the next training step; Ctrl-C again stops at once", file=sys.stderr, flush=True)

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
