"""What is asked of Lightning's trainer: completed where something is left open, refused where a promise would break."""

import math
from typing import Any

import lightning as L
import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

from lightseg.blame import is_user_class
from lightseg.callbacks.lookahead import Lookahead
from lightseg.devices import AUTO
from lightseg.errors import ConfigError, did_you_mean
from lightseg.strategies import FSDP
from lightseg.tasks import Task

EPOCHS = 50
"""Length of a training whose recipe does not state one."""

_TRAINING_METRICS = ("train/loss", "train/images_per_s", "train/skipped_steps")
"""Metrics of the training itself that a callback can watch."""


_LEAST = {"accumulate_grad_batches": 1, "log_every_n_steps": 1, "num_sanity_val_steps": -1}


class Trainer(L.Trainer):
    """Lightning's trainer, with the options of `fit`.

    Args:
        precision: Lightning's choices, or `auto`: what `lightseg.devices.choose_precision` finds fast on the device.
    """

    def __init__(self, *args: Any, precision: str | int | None = AUTO, **kwargs: Any) -> None:
        super().__init__(*args, precision=precision, **kwargs)  # type: ignore[arg-type]


def set_length(trainer: Namespace) -> None:
    """Give a training without a length one, and see that it ends with something to choose a checkpoint by."""
    _check_numbers(trainer)
    if trainer.max_epochs in (None, -1) and trainer.max_steps == -1:
        if trainer.max_time is not None:
            raise ConfigError("trainer.max_time: the schedule needs a length too; give trainer.max_epochs or max_steps")
        if trainer.max_epochs == -1:
            raise ConfigError("trainer.max_epochs: -1 has no end, which the schedule needs; give trainer.max_steps too")
        trainer.max_epochs = EPOCHS
    if trainer.limit_val_batches == 0:
        raise ConfigError("trainer.limit_val_batches: 0 leaves nothing to choose the best checkpoint by; leave it out")
    every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
    if every and epochs and 0 < epochs < every:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch: {every}, but there are only {epochs} epochs, and the best checkpoint is "
            f"chosen by validation; set it to {epochs} or less"
        )


def _check_numbers(trainer: Namespace) -> None:
    """Refuse numbers that leave nothing to train on, and options that act on nothing."""
    for option in ("max_epochs", "max_steps", "limit_train_batches"):
        if trainer[option] == 0:
            raise ConfigError(f"trainer.{option}: 0 leaves nothing to train; give 1 or more, or leave it out")
    for option, least in _LEAST.items():
        value = trainer[option]
        if value is not None and value < least:
            raise ConfigError(f"trainer.{option}: must be {least} or more, got {value}")
    clip = trainer.gradient_clip_val
    if clip is not None and not 0 <= clip < math.inf:
        raise ConfigError(f"trainer.gradient_clip_val: must be a finite number, 0 or more, got {clip}")
    if trainer.gradient_clip_algorithm is not None and not clip:
        raise ConfigError(
            f"trainer.gradient_clip_algorithm: {trainer.gradient_clip_algorithm} clips nothing without "
            "trainer.gradient_clip_val; give that too, such as 1.0, or leave both out"
        )


def check_launcher(trainer: L.Trainer, strategy: Any) -> None:
    """Refuse strategies that train in children of this process, which do not give back what they have scored.

    Args:
        trainer: The trainer.
        strategy: The strategy that the recipe states.
    """
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise ConfigError(
            f"trainer.strategy: {strategy} trains in spawned or forked children, which leave no "
            "scores behind; take ddp, which starts whole processes, or trainer.devices: 1"
        )


def check_monitor(callback: L.Callback, task: Task, callbacks: list[L.Callback]) -> None:
    """Lightning would look for a misspelt metric after the first epoch, and takes a score for a loss.

    Args:
        callback: The callback that may watch a metric.
        task: The task that logs metrics.
        callbacks: All callbacks of the recipe; one of the user's may log more.
    """
    monitor = getattr(callback, "monitor", None)
    if not isinstance(monitor, str):
        return
    size = len(task.classes)
    known = [f"val/{name}" for name in ("loss", *task.scores(torch.zeros(size, size, dtype=torch.int64)))]
    kind = type(callback).__name__
    if not monitor.startswith("val/"):
        if monitor in _TRAINING_METRICS or any(is_user_class(type(each)) for each in (task, *callbacks)):
            return
        known += _TRAINING_METRICS
    if monitor not in known:
        raise ConfigError(f"{kind}: nothing is logged as '{monitor}'{did_you_mean(monitor, known, len(known))}")
    wanted = "min" if monitor == "val/loss" else "max"
    if getattr(callback, "mode", wanted) != wanted:
        raise ConfigError(f"{kind}: {monitor} is better {'low' if wanted == 'min' else 'high'}; set mode: {wanted}")


_REFUSED = {
    GradientAccumulationScheduler: "the batch stays the same; trainer.accumulate_grad_batches says how it is shared",
    StochasticWeightAveraging: "take lightseg.callbacks.EMA",
    LearningRateFinder: "the rate of a short trial is not the recipe's; try several by --model.optimizer.lr",
    BatchSizeFinder: "the batch is the recipe's; trainer.accumulate_grad_batches makes it fit the memory",
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
