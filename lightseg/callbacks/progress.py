"""What a run prints after every validation."""

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor


class EpochLines(L.Callback):
    """Prints one line per validation: mean training loss since the last one, validation loss and score, speed."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def on_before_backward(self, trainer: L.Trainer, task: L.LightningModule, loss: Tensor) -> None:
        """Collect the losses; Lightning has divided them by the number of accumulated batches."""
        self._losses.append(loss.detach() * trainer.accumulate_grad_batches)

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Print the line."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        mean = sum(float(loss) for loss in self._losses) / max(1, len(self._losses))
        self._losses = []
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
