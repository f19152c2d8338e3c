"""What a run prints after every validation."""

import lightning as L
from lightning.pytorch.utilities import rank_zero_only


class EpochLines(L.Callback):
    """Prints one line per validation: epoch, training loss, validation loss and score, images per second."""

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Print the line."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        shown = {
            "train loss": ("train/loss", "{:.4f}"),
            "val loss": ("val/loss", "{:.4f}"),
            "val score": ("val/score", "{:.4f}"),
            "images/s": ("train/images_per_s", "{:.0f}"),
        }
        metrics = trainer.callback_metrics
        parts = [f"{label} {form.format(metrics[key])}" for label, (key, form) in shown.items() if key in metrics]
        of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        print(f"epoch {trainer.current_epoch + 1}{of}  step {trainer.global_step}  {'  '.join(parts)}", flush=True)
