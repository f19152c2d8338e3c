"""Checks and defaults of the options of Lightning's trainer."""

import math
from typing import Any

import lightning as L
from jsonargparse import Namespace

from lightseg.errors import ConfigError
from lightseg.hardware.precision_names import AUTO

EPOCHS = 50
"""Epochs of a training without a length in its recipe."""


_LEAST = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "log_every_n_steps": 1,
    "num_nodes": 1,
    "num_sanity_val_steps": -1,
    "reload_dataloaders_every_n_epochs": 0,
}


class Trainer(L.Trainer):
    """Trainer of Lightning with the options of `fit`.

    Args:
        precision: One of Lightning's choices, or `auto`, which takes a precision that is fast on the device.
    """

    def __init__(self, *args: Any, precision: str | int | None = AUTO, **kwargs: Any) -> None:
        super().__init__(*args, precision=precision, **kwargs)  # type: ignore[arg-type]


def set_length(trainer: Namespace) -> None:
    """Set the default length, and check that there is a validation to choose the best checkpoint by.

    Args:
        trainer: The options of the trainer, which may be changed.

    Raises:
        ConfigError: If an option has no meaning, or nothing is left to train or to validate.
    """
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
    """Refuse numbers that leave nothing to train, and options without effect."""
    for option in ("max_epochs", "max_steps", "limit_train_batches"):
        if trainer[option] == 0:
            raise ConfigError(f"trainer.{option}: 0 leaves nothing to train; give 1 or more, or leave it out")
    for option, least in _LEAST.items():
        value = trainer[option]
        if value is not None and value < least:
            raise ConfigError(f"trainer.{option}: must be {least} or more, got {value}")
    if trainer.max_time is not None and _is_zero(trainer.max_time):
        raise ConfigError("trainer.max_time: 0 leaves nothing to train; give more, or leave it out")
    clip = trainer.gradient_clip_val
    if clip is not None and not 0 <= clip < math.inf:
        raise ConfigError(f"trainer.gradient_clip_val: must be a finite number, 0 or more, got {clip}")
    if trainer.gradient_clip_algorithm is not None and not clip:
        raise ConfigError(
            f"trainer.gradient_clip_algorithm: {trainer.gradient_clip_algorithm} clips nothing without "
            "trainer.gradient_clip_val; give that too, such as 1.0, or leave both out"
        )


def _is_zero(duration: Any) -> bool:
    """Return whether a duration, such as `00:00:00:00` or `{minutes: 0}`, has no length."""
    if isinstance(duration, dict):
        return not any(duration.values())
    return not str(duration).strip("0:")
