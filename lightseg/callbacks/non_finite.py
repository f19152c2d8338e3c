"""Guard against losses that are not finite: the step is skipped; after three in a row, training stops."""

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightseg.data.types import Batch
from lightseg.errors import RunError
from lightseg.losses.base import over_processes
from lightseg.tasks import Task

PATIENCE = 3


class NonFiniteGuard(L.Callback):
    """Skips an optimiser step whose loss is not finite, counts it as `train/skipped_steps`, and ends a lost run.

    A skipped step leaves no trace: parameters, optimiser state and running statistics stay as they were. For that the
    host must know the loss before it takes the step. It is the one number that is read in every step: it is sent off
    before the backward pass begins, and by the time that it is asked for, the device has the backward pass to do.

    Raises:
        RunError: After three such steps in a row.
    """

    def __init__(self) -> None:
        self.skipped, self._in_a_row = 0, 0
        self._losses: list[Tensor] = []
        self._total: Callable[[], float] | None = None
        self._seen: list[float] = []
        self._statistics: list[list[Tensor]] = []
        self._buffers: list[dict[str, Tensor | None]] = []

    def on_train_batch_start(self, trainer: L.Trainer, task: Task, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Remember the running statistics at the start of an optimiser step."""
        if not self._losses:
            if not batch_idx or not self._buffers:
                # to walk a net of many modules takes longer than to copy what they hold
                self._buffers = [module._buffers for module in task.net.modules()]
            kinds = _by_dtype(self._buffers)
            if [len(kind) for kind in self._statistics] != [len(kind) for kind in kinds]:
                self._statistics = [[torch.empty_like(buffer) for buffer in kind] for kind in kinds]
            _copy(kinds, self._statistics)

    def on_before_backward(self, trainer: L.Trainer, task: Task, loss: Tensor) -> None:  # type: ignore[override]
        """Collect the loss of every batch that goes into the step, and send their sum off."""
        self._losses.append(loss.detach())
        if len(self._losses) == trainer.accumulate_grad_batches:
            self._total = self._send()

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Let the step through, or take its gradients away."""
        # the last step of an epoch may have fewer batches
        total, losses = self._total or self._send(), self._losses
        self._total, self._losses = None, []
        if math.isfinite(total()):
            self._in_a_row, self._seen = 0, []
            if self.skipped:
                # at every step, so that the log does not depend on what Lightning remembers of an epoch
                task.log("train/skipped_steps", float(self.skipped))
            return
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        self._seen.append(float(torch.stack(losses).sum()))
        # an optimiser passes over parameters without a gradient, momentum and decay included
        optimizer.zero_grad(set_to_none=True)
        _copy(self._statistics, _by_dtype(self._buffers))
        task.log("train/skipped_steps", float(self.skipped))
        if self._in_a_row == PATIENCE:
            raise RunError(self._report(trainer, optimizer))

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps were skipped, and what was seen in the last ones."""
        return {"skipped": self.skipped, "in_a_row": self._in_a_row, "seen": self._seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.skipped, self._in_a_row, self._seen = state["skipped"], state["in_a_row"], state["seen"]

    def _send(self) -> Callable[[], float]:
        # one rank's bad batch spoils the gradients of all: every rank must decide alike
        return copy_to_host_async(over_processes(torch.stack(self._losses).sum()))

    def _report(self, trainer: L.Trainer, optimizer: torch.optim.Optimizer) -> str:
        rate = max(group["lr"] for group in optimizer.param_groups)
        losses = ", ".join(f"{loss:g}" for loss in self._seen)
        best_path = getattr(trainer.checkpoint_callback, "best_model_path", "") or "none was saved yet"
        return (
            f"the loss was not finite {PATIENCE} steps in a row ({losses}) up to step {trainer.global_step + 1}, "
            f"at learning rate {rate:.3g} and precision {trainer.precision}; none of these steps was taken.\n"
            "Try a lower model.optimizer.lr, trainer.gradient_clip_val: 1.0, or trainer.precision: 32-true. "
            f"Last good checkpoint: {best_path}"
        )


def copy_to_host_async(value: Tensor) -> Callable[[], float]:
    """Send a number from the device to the host; the function that is returned waits for it, and for nothing later."""
    # in memory that the device can write to by itself, which torch takes for a copy that does not block
    copy = value.to("cpu", non_blocking=True)
    if not value.is_cuda:
        return copy.item
    arrived = torch.cuda.Event()
    arrived.record()

    def read() -> float:
        arrived.synchronize()
        return float(copy)

    return read


def _by_dtype(buffers: list[dict[str, Tensor | None]]) -> list[list[Tensor]]:
    """Group the buffers of all modules by type: the device copies each of these lists in one go."""
    kinds: dict[torch.dtype, dict[int, Tensor]] = {}
    for buffer in chain.from_iterable(map(dict.values, buffers)):
        if buffer is not None:
            # modules may share one
            kinds.setdefault(buffer.dtype, {})[id(buffer)] = buffer
    return [list(kind.values()) for kind in kinds.values()]


@torch.no_grad()
def _copy(values: list[list[Tensor]], to: list[list[Tensor]]) -> None:
    for kind, place in zip(values, to, strict=True):
        torch._foreach_copy_(place, kind)
