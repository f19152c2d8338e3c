"""Checks of a recipe's limits, intervals and shares against the length of the training."""

import math
from typing import Any

import lightning as L

from lightseg.data import ImageDataModule
from lightseg.errors import require
from lightseg.files.printable import warn
from lightseg.tasks import Task


def check_lengths(trainer: L.Trainer, data: ImageDataModule, epoch: int) -> None:
    """Check that the trainer's limits leave at least one batch, and that a validation takes place.

    Args:
        trainer: The trainer of the run.
        data: Its data.
        epoch: Batches in an epoch of one process.

    Raises:
        ConfigError: If a share of the batches is 0 batches, or an interval is longer than the training.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    lengths = {"train": epoch}
    for split in ("val", "test"):
        if len(data.dataset(split)):
            lengths[split] = math.ceil(len(data.eval_dataloader(split)) / trainer.world_size)
    for split, length in lengths.items():
        limit = getattr(trainer, f"limit_{split}_batches")
        overfits = split != "test" and trainer.overfit_batches  # type: ignore[attr-defined]
        option = "overfit_batches" if overfits else f"limit_{split}_batches"
        require(
            not isinstance(limit, float) or limit == 0 or int(length * limit) > 0,
            f"trainer.{option}: {limit} of the {length} {split} batches is none; give a whole number of batches, "
            f"or {math.ceil(100 / length) / 100:g} or more",
        )
    _check_validation(trainer, _limited(epoch, trainer.limit_train_batches))


def check_shares(task: Task, trainer: L.Trainer, epoch: int) -> None:
    """Check that the encoder is trained, unless it is frozen throughout.

    Args:
        task: The task.
        trainer: The trainer of the run.
        epoch: Batches in an epoch of one process.

    Raises:
        ConfigError: If the training ends before.
    """
    if task.freeze_encoder < 1:
        effect, alternative = "the encoder is never trained", "1 to freeze it throughout"
        _require_before_end("freeze_encoder", task.freeze_encoder, trainer, epoch, effect, alternative)


def check_weighting(task: Task, trainer: L.Trainer, epoch: int) -> None:
    """Check that the class weights of a recipe, before they are set from the data, have an effect.

    Args:
        task: The task.
        trainer: The trainer of the run.
        epoch: Batches in an epoch of one process.

    Raises:
        ConfigError: If all weights are equal, or the training ends before they apply.
    """
    weights, start = task.loss.weighting, task.loss.weights_from
    require(
        weights is None or isinstance(weights, str) or len(set(weights)) > 1,
        f"model.class_weights: {weights} are all equal, which changes nothing, since the loss is divided by their sum; "
        "leave them out",
    )
    positive = task.loss.positive_weighting
    require(
        positive is None or isinstance(positive, str) or set(positive) != {1.0},
        f"model.positive_weights: {positive} change nothing; leave them out",
    )
    require(
        not start or weights is not None or positive is not None,
        "model.class_weights_from: there are no weights to wait for; give model.class_weights or "
        "model.positive_weights, or leave it out",
    )
    effect = "the class weights never apply"
    _require_before_end("class_weights_from", start, trainer, epoch, effect, "train for longer")


def _require_before_end(
    option: str, share: float, trainer: L.Trainer, epoch: int, effect: str, alternative: str
) -> None:
    """Check that a share of the training ends before its last step.

    Args:
        option: Option of the task.
        share: Its value, 0..1.
        trainer: The trainer of the run.
        epoch: Batches in an epoch of one process.
        effect: What is so otherwise, for the message.
        alternative: Another fix than a smaller share, for the message.

    Raises:
        ConfigError: If it does not.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    steps = count_steps(trainer, epoch)
    require(
        share <= 1 - 1 / steps,
        f"model.{option}: {share} of {steps} steps is after the last one, so that {effect}; give "
        f"{math.floor(100 * (1 - 1 / steps)) / 100:g} or less, or {alternative}",
    )


def _check_validation(trainer: L.Trainer, epoch: int) -> None:
    """Check that an interval is not longer than the training; warn if the training ends before a validation."""
    # or a time interval
    interval: Any = trainer.val_check_interval
    every = trainer.check_val_every_n_epoch
    if not isinstance(interval, int | float):
        return
    steps = trainer.max_steps * trainer.accumulate_grad_batches if trainer.max_steps > 0 else math.inf
    epochs = trainer.max_epochs * epoch if trainer.max_epochs and trainer.max_epochs > 0 else math.inf
    total = min(steps, epochs)
    within = interval if isinstance(interval, int) else int(epoch * interval)
    require(within > 0, f"trainer.val_check_interval: {interval} of an epoch of {epoch} batches is none; give more")
    if every is None:
        require(
            within <= total,
            f"trainer.val_check_interval: {within} batches, but the training has {total}, so it would never validate; "
            f"give {total} or less",
        )
        return
    require(
        within <= epoch,
        f"trainer.val_check_interval: {interval} batches, but an epoch has {epoch}; give {epoch} or less, or set "
        "trainer.check_val_every_n_epoch to null to count batches across epochs",
    )
    if (every - 1) * epoch + within > total:
        warn(
            f"trainer.max_steps: {trainer.max_steps} ends before the first validation: the last checkpoint will be "
            "scored, not the best"
        )


def count_steps(trainer: L.Trainer, epoch: int) -> int:
    """Return the optimizer steps of a training, which has an end, with `epoch` batches in an epoch of one process."""
    steps = trainer.max_steps if trainer.max_steps > 0 else math.inf
    if trainer.max_epochs and trainer.max_epochs > 0:
        steps = min(steps, trainer.max_epochs * count_steps_per_epoch(trainer, epoch))
    return int(steps)


def count_steps_per_epoch(trainer: L.Trainer, epoch: int) -> int:
    """Return the optimizer steps of an epoch, with `epoch` batches in one of one process."""
    return math.ceil(_limited(epoch, trainer.limit_train_batches) / trainer.accumulate_grad_batches)


def _limited(length: int, limit: float) -> int:
    return min(length, limit) if isinstance(limit, int) else int(length * limit)
