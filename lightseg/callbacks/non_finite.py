"""What happens when the loss is not a number: nothing, and after the third time in a row, the end."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightseg.data.base import Batch
from lightseg.errors import RunError
from lightseg.tasks import Task

PATIENCE = 3


class NonFiniteGuard(L.Callback):
    """Skips an optimiser step whose loss is not finite, counts it as `train/skipped_steps`, and ends a lost run.

    A skipped step leaves no trace: parameters, optimiser state and running statistics stay as they were.

    Raises:
        RunError: After three such steps in a row.
    """

    def __init__(self) -> None:
        self.skipped, self._in_a_row = 0, 0
        self._losses: list[Tensor] = []
        self._seen: list[float] = []
        self._statistics: list[Tensor] = []

    def on_train_batch_start(self, trainer: L.Trainer, task: Task, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Remember the running statistics at the start of an optimiser step."""
        if not self._losses:
            self._statistics = [buffer.clone() for buffer in task.net.buffers()]

    def on_before_backward(self, trainer: L.Trainer, task: Task, loss: Tensor) -> None:  # type: ignore[override]
        """Collect the loss of every batch that goes into the step."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Let the step through, or take its gradients away."""
        loss = torch.stack(self._losses).sum()
        self._losses = []
        # one rank's bad batch has already spoilt the gradients of all: every rank must decide alike
        if bool(torch.isfinite(trainer.strategy.reduce(loss, reduce_op="sum"))):
            self._in_a_row, self._seen = 0, []
            if self.skipped:
                # at every step, so that the log does not depend on what Lightning remembers of an epoch
                task.log("train/skipped_steps", float(self.skipped))
            return
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        self._seen.append(float(loss))
        # an optimiser passes over parameters without a gradient, momentum and decay included
        optimizer.zero_grad(set_to_none=True)
        for buffer, before in zip(task.net.buffers(), self._statistics, strict=True):
            buffer.copy_(before)
        task.log("train/skipped_steps", float(self.skipped))
        if self._in_a_row == PATIENCE:
            raise RunError(self._report(trainer, optimizer))

    def state_dict(self) -> dict[str, Any]:
        """How many steps were skipped, and what was seen in the last ones."""
        return {"skipped": self.skipped, "in_a_row": self._in_a_row, "seen": self._seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.skipped, self._in_a_row, self._seen = state["skipped"], state["in_a_row"], state["seen"]

    def _report(self, trainer: L.Trainer, optimizer: torch.optim.Optimizer) -> str:
        rate = max(group["lr"] for group in optimizer.param_groups)
        losses = ", ".join(f"{loss:g}" for loss in self._seen)
        kept = getattr(trainer.checkpoint_callback, "best_model_path", "") or "none was saved yet"
        return (
            f"the loss was not finite {PATIENCE} steps in a row ({losses}) up to step {trainer.global_step + 1}, "
            f"at learning rate {rate:.3g} and precision {trainer.precision}; none of these steps was taken.\n"
            "Try a lower model.optimizer.lr, trainer.gradient_clip_val: 1.0, or trainer.precision: 32-true. "
            f"Last good checkpoint: {kept}"
        )
