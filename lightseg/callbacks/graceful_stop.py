"""Graceful stop by a signal: between two optimizer steps, on every process at the same one."""

import contextlib
import signal
import sys
import threading
from types import FrameType
from typing import Any

import lightning as L
import torch
from torch import distributed

from lightseg.distributed.lightning_compat import exchange_timeout


class Stop(KeyboardInterrupt):
    """Raised between two steps, where the state of the training is consistent."""


class GracefulStop(L.Callback):
    """Stops the training between two steps after a signal.

    The signals are Ctrl-C, SIGTERM or SIGUSR1, which schedulers send before preemption, and SIGHUP of a terminal that
    is closed, unless `nohup` has it ignored. A running validation is finished first. Outside of training, as in the
    final test, the stop is immediate. A second signal ends the process.

    Attributes:
        received: Number of the signal that a process of the run has received; 0 if none.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

    def __init__(self) -> None:
        self.received = 0
        self._training = False
        self._previous_handlers: dict[int, Any] = {}
        self._host_group: Any = None

    def on_sanity_check_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Install the signal handlers."""
        self._install_handlers()

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Install the signal handlers, and defer signals to the next step from now on."""
        self._install_handlers()
        self._training = True
        if trainer.world_size > 1:
            # a group of the hosts, so that the exchange does not wait for the devices
            self._host_group = distributed.new_group(backend="gloo", timeout=exchange_timeout(trainer.strategy))

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Stop deferring signals once training has ended."""
        self._training = False

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop if any process has received a signal."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        # a signal that arrives during the exchange is handled at the next step
        signal_number = self.received
        if self._host_group is not None:
            signal_number = largest(signal_number, self._host_group)
        if signal_number:
            self.received = signal_number
            raise Stop

    def restore(self) -> None:
        """Restore the previous signal handlers."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers = {}

    def _handle_signal(self, received: int, _frame: FrameType | None) -> None:
        if self.received == received == signal.SIGHUP:
            # the shell and the system each send one
            return
        if self.received:
            # an exception would not be raised while the process waits in a library or for another process
            signal.signal(received, signal.SIG_DFL)
            signal.raise_signal(received)
        self.received = received
        if not self._training:
            raise KeyboardInterrupt
        # a terminal that was closed takes no more text
        with contextlib.suppress(OSError):
            print(
                "\nstopping before the next step, after a validation that is running; once more ends it now",
                file=sys.stderr,
                flush=True,
            )

    def _install_handlers(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            # Python allows handlers only in the main thread; in a notebook or a sweep, those of the program remain
            return
        # later than any other hook, since Lightning installs its own handlers before
        for number in self.SIGNALS:
            is_ignored = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
            if not is_ignored and signal.getsignal(number) != self._handle_signal:
                previous = signal.signal(number, self._handle_signal)
                self._previous_handlers.setdefault(number, previous)


def largest(value: int, group: Any) -> int:
    """Return the maximum of a number over the processes of a group."""
    number = torch.tensor(value)
    distributed.all_reduce(number, distributed.ReduceOp.MAX, group)
    return int(number)
