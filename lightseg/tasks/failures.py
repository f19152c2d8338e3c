"""Explanations of errors of torch and Lightning."""

import lightning as L

from lightseg.data import ImageDataModule
from lightseg.data.loading.loaders import describe_dead_worker
from lightseg.distributed import supervision
from lightseg.errors import ConfigError, LightsegError, RunError


def translate_error(error: RuntimeError | ValueError, trainer: L.Trainer) -> LightsegError | None:
    """Return the explanation of a torch error for users."""
    data: ImageDataModule | None = trainer.datamodule  # type: ignore[attr-defined]
    if data is not None and isinstance(error, RuntimeError) and (message := describe_dead_worker(error, data.watched)):
        return RunError(message)
    if trainer.world_size > 1 and supervision.is_lost_connection(error):
        return RunError(supervision.describe_dead_process(getattr(trainer.strategy.launcher, "procs", [])))
    if "more than 1 value per channel" in str(error):
        return ConfigError(
            "data.batch_size: one image per process leaves BatchNorm nothing to average in this net; "
            "give 2 or more per process, or take a net without it (UNet: --model.net.norm group)"
        )
    if "number of total steps is" in str(error):
        return ConfigError(f"model.schedule: {error}; give it the number of steps of this training")
    if "`val_check_interval`" in str(error):
        return ConfigError(f"trainer.val_check_interval: {' '.join(str(error).split())}")
    return None
