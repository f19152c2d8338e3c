"""What a run prints after every validation."""

import lightning as L
from torch import Tensor


class EpochLines(L.Callback):
    """Prints one line per validation: mean training loss since the last one, validation loss and score, speed."""

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._batches = 0

    def on_before_backward(self, trainer: L.Trainer, task: L.LightningModule, loss: Tensor) -> None:
        """Add up the losses; Lightning has divided them by the number of accumulated batches."""
        self._total = self._total + loss.detach() * trainer.accumulate_grad_batches
        self._batches += 1

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Print the line, and begin a new mean on every process."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        mean = float(self._total) / max(1, self._batches)
        self._total, self._batches = 0.0, 0
        if trainer.is_global_zero:
            self._print(trainer, mean)

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
