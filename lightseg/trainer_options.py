"""What is asked of Lightning's trainer: completed where something is left open, refused where a promise would break."""

from typing import Any

import lightning as L
import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)

from lightseg.callbacks.lookahead import Lookahead
from lightseg.devices import AUTO
from lightseg.errors import ConfigError, did_you_mean
from lightseg.strategies import FSDP
from lightseg.tasks import Task

EPOCHS = 50
"""Length of a training whose recipe does not state one."""


class Trainer(L.Trainer):
    """Lightning's trainer, with the options of `fit`.

    Args:
        precision: Lightning's choices, or `auto`: what `lightseg.devices.choose_precision` finds fast on the device.
    """

    def __init__(self, *args: Any, precision: str | int | None = AUTO, **kwargs: Any) -> None:
        super().__init__(*args, precision=precision, **kwargs)  # type: ignore[arg-type]


def set_length(trainer: Namespace) -> None:
    """Give a training without a length one, and see that it ends with something to choose a checkpoint by."""
    if trainer.max_epochs is None and trainer.max_steps == -1:
        if trainer.max_time is not None:
            raise ConfigError("trainer.max_time: the schedule needs a length too; give trainer.max_epochs or max_steps")
        trainer.max_epochs = EPOCHS
    if trainer.limit_val_batches == 0:
        raise ConfigError("trainer.limit_val_batches: 0 leaves nothing to choose the best checkpoint by; leave it out")
    every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
    if every and epochs and 0 < epochs < every:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch: {every}, but there are only {epochs} epochs, and the best checkpoint is "
            f"chosen by validation; set it to {epochs} or less"
        )


def check_monitor(callback: L.Callback, task: Task) -> None:
    """Lightning would look for a misspelt metric after the first epoch, and takes a score for a loss."""
    monitor = getattr(callback, "monitor", None)
    if not isinstance(monitor, str) or not monitor.startswith("val/"):
        return
    size = len(task.classes)
    known = [f"val/{name}" for name in ("loss", *task.scores(torch.zeros(size, size, dtype=torch.int64)))]
    kind = type(callback).__name__
    if monitor not in known:
        raise ConfigError(f"{kind}: nothing is logged as '{monitor}'{did_you_mean(monitor, known, len(known))}")
    wanted = "min" if monitor == "val/loss" else "max"
    if getattr(callback, "mode", wanted) != wanted:
        raise ConfigError(f"{kind}: {monitor} is better {'low' if wanted == 'min' else 'high'}; set mode: {wanted}")


_REFUSED = {
    GradientAccumulationScheduler: "the batch stays the same; trainer.accumulate_grad_batches says how it is shared",
    StochasticWeightAveraging: "take lightseg.callbacks.EMA",
    BaseFinetuning: "take model.freeze_encoder and model.encoder_lr_factor",
}
"""Callbacks that change the training in ways that lightseg could not go on with, and what to take instead."""


def check_callback(callback: L.Callback, strategy: Any) -> None:
    """Refuse what would break a promise."""
    name = type(callback).__name__
    for refused, instead in _REFUSED.items():
        if isinstance(callback, refused):
            raise ConfigError(f"{name}: {instead}")
    if isinstance(callback, ModelCheckpoint) and callback.save_last:
        raise ConfigError(f"{name}: leave save_last out: last.ckpt is written anyway, and --resume goes on from it")
    if isinstance(callback, WeightAveraging | Lookahead) and isinstance(strategy, FSDP):
        raise ConfigError(f"{name} cannot average a net that is shared between devices: take strategy ddp")
