"""What a run prints after every validation."""

from typing import Any

import lightning as L
from torch import Tensor

from lightseg.tasks import Task


class EpochLines(L.Callback):
    """Prints one line per validation: mean training loss since the last one, validation loss and score, speed."""

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._steps = 0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        task: Task,  # type: ignore[override]
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add up the losses of the steps, without waiting for the device."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._total = self._total + task.step_loss
            self._steps += 1

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Print the line, and begin a new mean on every process."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        mean = float(self._total) / max(1, self._steps)
        self._total, self._steps = 0.0, 0
        if trainer.is_global_zero:
            self._print(trainer, mean)

    def state_dict(self) -> dict[str, Any]:
        """The mean so far."""
        return {"total": float(self._total), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the mean of an interrupted epoch."""
        self._total, self._steps = state["total"], state["steps"]

    @staticmethod
    def _print(trainer: L.Trainer, mean: float) -> None:
        metrics = trainer.callback_metrics
        of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        speed = metrics.get("train/images_per_s")
        print(
            f"epoch {trainer.current_epoch + 1}{of}  step {trainer.global_step}  train loss {mean:.4f}",
            f"val loss {metrics['val/loss']:.4f}  val score {metrics['val/score']:.4f}",
            f"images/s {speed:.{0 if speed >= 10 else 1}f}" if speed is not None else "",
            sep="  ",
            flush=True,
        )
