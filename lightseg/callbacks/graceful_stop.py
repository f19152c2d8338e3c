"""Graceful stop by a signal: between two optimizer steps, on every process at the same one."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

import lightning as L
import torch
from torch import distributed


class Stop(KeyboardInterrupt):
    """Raised between two steps, where the state of the training is whole."""


class GracefulStop(L.Callback):
    """Turns Ctrl-C, SIGTERM and SIGUSR1 (what schedulers send before they take a machine away) into an orderly stop.

    A validation that is running is finished first; where there is no next step, as in the final scoring, it stops at
    once. A second signal ends the process.

    Attributes:
        received: The signal that this process, or another one of the run, was sent.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.received = 0
        self._training = False
        self._before: dict[int, Any] = {}
        self._hosts: Any = None

    def on_sanity_check_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Listen."""
        self._listen()

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Listen; from now on there is a next step to wait for."""
        self._listen()
        self._training = True
        if trainer.world_size > 1:
            # the processes agree beside their devices, which need not be waited for so
            patience = getattr(trainer.strategy, "_timeout", None)
            self._hosts = distributed.new_group(backend="gloo", timeout=patience)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """There is no next step."""
        self._training = False

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop here if one of the processes was asked to."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        # a signal may come while the processes agree, and is then answered at the next step
        signal_number = self.received
        if self._hosts is not None:
            signal_number = largest(signal_number, self._hosts)
        if signal_number:
            self.received = signal_number
            raise Stop

    def restore(self) -> None:
        """Listen no more."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, received: int, _frame: FrameType | None) -> None:
        if self.received:
            # a process that waits for others, or in a library, would not come to an exception
            signal.signal(received, signal.SIG_DFL)
            signal.raise_signal(received)
        self.received = received
        if not self._training:
            raise KeyboardInterrupt
        print(
            "\nstopping before the next step, after a validation that is running; once more ends it now",
            file=sys.stderr,
            flush=True,
        )

    def _listen(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            # in a notebook's or a sweep's thread, Python lets signals be; the program's own handlers stay
            return
        # Lightning sets its own handlers after every earlier hook
        for number in self.SIGNALS:
            if signal.getsignal(number) != self._ask:
                before = signal.signal(number, self._ask)
                self._before.setdefault(number, before)


def largest(value: int, group: Any) -> int:
    """Return the largest of the numbers that the processes of a group have."""
    number = torch.tensor(value)
    distributed.all_reduce(number, distributed.ReduceOp.MAX, group)
    return int(number)
