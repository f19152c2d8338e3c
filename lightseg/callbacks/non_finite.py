"""Guard against losses that are not finite: the step is skipped; after three in a row, training stops."""

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from lightseg.data.types import Batch
from lightseg.errors import RunError
from lightseg.losses.base import over_processes
from lightseg.tasks import Task

PATIENCE = 3


class NonFiniteGuard(L.Callback):
    """Skips optimizer steps whose loss is not finite, counts them as `train/skipped_steps`, and ends a diverged run.

    A skipped step changes neither parameters nor optimizer state nor running statistics. The host needs the loss before
    the step for that, the only value that is read from the device in every step: the copy starts before the backward
    pass, so that the host waits for it while the device runs that pass.

    Raises:
        RunError: After three skipped steps in a row.
    """

    def __init__(self) -> None:
        self.skipped, self._in_a_row = 0, 0
        self._losses: list[Tensor] = []
        self._total: Callable[[], float] | None = None
        self._recent: list[float] = []
        self._buffers: list[tuple[nn.Module, str]] = []
        self._statistics: list[Tensor] = []

    def on_train_batch_start(self, trainer: L.Trainer, task: Task, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Copy the running statistics at the start of an optimizer step."""
        if not self._losses:
            if not batch_idx or not self._buffers:
                # `buffers` in every step takes longer than the copies
                self._buffers = _places(task.net)
            self._statistics = _copied(_by_dtype(self._buffers))

    def on_before_backward(self, trainer: L.Trainer, task: Task, loss: Tensor) -> None:  # type: ignore[override]
        """Collect the losses of the step's batches, and start the copy of their sum to the host."""
        self._losses.append(loss.detach())
        if len(self._losses) == trainer.accumulate_grad_batches:
            self._total = self._send()

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Remove the gradients of a step whose loss is not finite.

        Raises:
            RunError: If too many steps in succession are so.
        """
        # the last step of an epoch may have fewer batches
        total, losses = self._total or self._send(), self._losses
        self._total, self._losses = None, []
        if math.isfinite(total()):
            self._in_a_row, self._recent = 0, []
            if self.skipped:
                # in every step, since Lightning forgets logged values at the end of an epoch
                task.log("train/skipped_steps", float(self.skipped))
            return
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        self._recent.append(float(torch.stack(losses).sum()))
        # optimizers skip parameters without a gradient, including momentum and decay
        optimizer.zero_grad(set_to_none=True)
        _restore(_by_dtype(self._buffers), self._statistics)
        task.log("train/skipped_steps", float(self.skipped))
        if self._in_a_row == PATIENCE:
            raise RunError(self._report(trainer, optimizer))

    def state_dict(self) -> dict[str, Any]:
        """Return the number of skipped steps, and the losses of the last ones."""
        return {"skipped": self.skipped, "in_a_row": self._in_a_row, "seen": self._recent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.skipped, self._in_a_row, self._recent = state["skipped"], state["in_a_row"], state["seen"]

    def _send(self) -> Callable[[], float]:
        # gradients are averaged over the processes, so that all must take the same decision
        return copy_to_host_async(over_processes(torch.stack(self._losses).sum()))

    def _report(self, trainer: L.Trainer, optimizer: torch.optim.Optimizer) -> str:
        rate = max(group["lr"] for group in optimizer.param_groups)
        losses = ", ".join(f"{loss:g}" for loss in self._recent)
        best_path = getattr(trainer.checkpoint_callback, "best_model_path", "") or "none was saved yet"
        return (
            f"the loss was not finite {PATIENCE} steps in a row ({losses}) up to step {trainer.global_step + 1}, "
            f"at learning rate {rate:.3g} and precision {trainer.precision}; none of these steps was taken.\n"
            "Try a lower model.optimizer.lr, trainer.gradient_clip_val: 1.0, or trainer.precision: 32-true. "
            f"Last good checkpoint: {best_path}"
        )


def copy_to_host_async(value: Tensor) -> Callable[[], float]:
    """Start the copy of a scalar from the device to the host, and return a function that waits for it alone."""
    # torch uses pinned memory for copies that do not block
    copy = value.to("cpu", non_blocking=True)
    if not value.is_cuda:
        return copy.item
    arrived = torch.cuda.Event()
    arrived.record()

    def read() -> float:
        arrived.synchronize()
        return float(copy)

    return read


def _places(net: nn.Module) -> list[tuple[nn.Module, str]]:
    """Return module and name of each buffer; a module may replace the tensor at every step."""
    return [(module, name) for module in net.modules() for name, _ in module.named_buffers(recurse=False)]


def _by_dtype(places: list[tuple[nn.Module, str]]) -> list[list[Tensor]]:
    """Group buffers by dtype, so that each list is copied by one kernel."""
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for module, name in places:
        if (buffer := getattr(module, name)) is not None:
            kinds.setdefault(buffer.dtype, []).append(buffer)
    return list(kinds.values())


def _copied(kinds: list[list[Tensor]]) -> list[Tensor]:
    """Return the values of each list in one flat tensor."""
    return [torch.cat([buffer.flatten() for buffer in buffers]) for buffers in kinds]


@torch.no_grad()
def _restore(kinds: list[list[Tensor]], copies: list[Tensor]) -> None:
    for buffers, values in zip(kinds, copies, strict=True):
        parts = values.split([buffer.numel() for buffer in buffers])
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.view(buffer.shape))
