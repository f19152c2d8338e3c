"""The state of training at its last validation, or where it was interrupted."""

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lightseg.errors import RunError


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` after every validation, at the end, and when the run is interrupted or given up.

    Lightning's `save_last` writes only where the best checkpoint changes.

    Args:
        path: The file; `None` on processes that do not write.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._saved_step = -1

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save after a validation of the training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save at the end."""
        self._save(trainer)

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        """Save where every process has stopped at the same step; one that fails alone must not wait for others."""
        together = isinstance(exception, KeyboardInterrupt | RunError) or trainer.world_size == 1
        # in a validation, a callback such as weight averaging may have put other weights into the net
        if together and trainer.training and trainer.global_step > 0:
            self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        if self._saved_step != trainer.global_step and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(trainer.strategy.broadcast(str(self.path)))
            self._saved_step = trainer.global_step
