"""Learning rate of every step."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import LearningRateMonitor


class LearningRate(LearningRateMonitor):
    """Logs the learning rate once per optimizer step; that of Lightning logs every accumulated batch."""

    def __init__(self) -> None:
        super().__init__("step")

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        """Log at the first batch of a step."""
        if trainer.fit_loop.epoch_loop.batch_idx % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_start(trainer, *args, **kwargs)
