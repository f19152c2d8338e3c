"""Checks of a recipe's optimizer, schedule and limits, by trying them, before the run folder exists."""

import copy
import math
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightseg.config.class_errors import describe_failed_class, passes_user_code, reason
from lightseg.data import ImageDataModule
from lightseg.data.types import Batch
from lightseg.errors import ConfigError, LightsegError, require
from lightseg.files.printable import warn
from lightseg.optim.optimizer import scale_groups
from lightseg.optim.param_groups import param_groups
from lightseg.optim.schedules import Schedule, configure_scheduler
from lightseg.tasks import Task

_KEY = "model.optimizer"

_LONGEST_SCHEDULE = 10_000
"""Number of advances of a scheduler that are tried, which take a tenth of a second."""


def try_optimizer(task: Task, kind: Any, options: dict[str, Any]) -> None:
    """Try one optimizer step on small tensors, one of each rank and group of the net's parameters.

    Args:
        task: The task.
        kind: The optimizer's class.
        options: The optimizer's arguments, for messages.

    Raises:
        ConfigError: If it rejects its arguments or the parameters, or a step gives values that are not finite.
    """
    groups = param_groups(task.net, task.encoder, *task.lr_factors)
    small = [{**group, "params": _shrink(group["params"])} for group in groups]
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        try:
            optimizer = task.make_optimizer(small)
            if not isinstance(optimizer, torch.optim.Optimizer):
                raise ConfigError(
                    f"{_KEY}: {type(optimizer).__name__} is not an optimizer; name a class of torch.optim"
                )
            scale_groups(optimizer)
            _step(optimizer)
        except Exception as error:
            described = describe_failed_class(error, kind, options, _KEY)
            if described is None:
                raise
            raise ConfigError(f"{described}{_advice(kind, groups)}") from error
    values = [value for group in optimizer.param_groups for value in group["params"]]
    if not all(value.isfinite().all() for value in values):
        listed = ", ".join(f"{name}={value}" for name, value in options.items() if isinstance(value, int | float))
        raise ConfigError(f"{_KEY}: one step with {listed} makes weights that are not finite; give smaller values")


@contextmanager
def fits(task: Task, batch: Batch) -> Iterator[None]:
    """Translate the error of a library's net about a sample into one line.

    Raises:
        ConfigError: If the net fails without code of the user involved.
    """
    try:
        yield
    except Exception as error:
        key = f"model.net: {type(task.net).__name__} cannot take images of {list(batch['image'].shape[1:])}"
        if isinstance(error, LightsegError) or passes_user_code(error.__traceback__):
            raise
        raise ConfigError(f"{key}: {reason(error)}") from error


def require_output(task: Task, images: Tensor, logits: Tensor) -> None:
    """Check that a task gives logits for each image, and where they are computed.

    Args:
        task: The task.
        images: Images `(N, C, H, W)`.
        logits: Its output for them.

    Raises:
        ConfigError: If the output has another shape, device or type.
    """
    place = images.shape[2:] if task.kind == "segmentation" else ()
    expected = (len(images), len(task.classes), *place)
    name = f"model.net: {type(task.net).__name__}"
    require(
        logits.shape == expected,
        f"{name} gives {list(logits.shape)} for images of {list(images.shape)}, instead of {list(expected)}",
    )
    require(
        logits.device == images.device,
        f"{name} gives logits on the device {logits.device} for images on {images.device}; keep them on one device",
    )
    require(logits.is_floating_point(), f"{name} gives {logits.dtype}; logits are floating-point numbers")


def try_loss(task: Task, target: Tensor) -> None:
    """Try the loss of a recipe and its gradient, if it is no loss of lightseg.

    Args:
        task: The task, adapted to the data.
        target: Target of an image, as in `MaskedLoss.forward`.

    Raises:
        ConfigError: If it does not accept logits and targets, or has no gradient.
    """
    paths = [name for name in task.loss.spec if "." in name]
    if not paths:
        return
    if task.kind == "classification":
        # a loss for other shapes would broadcast one target, or as many as there are classes
        target = target.repeat(len(task.classes) + 1, *[1] * (target.ndim - 1))
    shape = target.shape if task.multilabel else (len(target), len(task.classes), *target.shape[1:])
    key = f"model.loss: {', '.join(paths)}"
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
        # torch warns of shapes that it then refuses
        warnings.simplefilter("ignore")
        logits = torch.randn(shape, requires_grad=True)
        try:
            # a copy, since a loss may have a state, and the other processes do not try it
            loss = copy.deepcopy(task.loss)(logits, target)
            require(loss.requires_grad, f"{key}: does not depend on the logits, so that nothing would be trained")
            loss.backward()
        except Exception as error:
            if isinstance(error, LightsegError) or passes_user_code(error.__traceback__):
                raise
            raise ConfigError(f"{key} cannot take logits (M, C) and class ids (M,): {reason(error)}") from error


def refusal(error: Exception, net: nn.Module) -> ConfigError | None:
    """Return an error of a library's net as one line; None for other errors.

    Args:
        error: The exception with its traceback.
        net: The net.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    ran = any(frame.f_locals.get("self") is net for frame in frames)
    if isinstance(error, LightsegError) or not ran or passes_user_code(error.__traceback__):
        return None
    return ConfigError(f"model.net: {type(net).__name__} cannot take the images of this data: {reason(error)}")


def try_scheduler(task: Task, kind: Any, options: dict[str, Any]) -> LRScheduler:
    """Let the scheduler of a task advance once, for an optimizer of small tensors.

    Args:
        task: The task.
        kind: The scheduler's class.
        options: Its arguments, for messages.

    Returns:
        The scheduler.

    Raises:
        ConfigError: If it rejects its arguments, another option contradicts it, or a learning rate becomes negative.
    """
    with torch.enable_grad():
        try:
            scheduler: Any = _make_scheduler(task)
            _require_factors(scheduler)
            _step(scheduler.optimizer)
            scheduler.step(*[0.0] * isinstance(scheduler, ReduceLROnPlateau))
        except Exception as error:
            described = describe_failed_class(error, kind, options, "model.schedule")
            if described is None:
                raise
            raise described from error
    result: LRScheduler = scheduler
    _require_rates(result)
    return result


def try_schedule(schedule: Schedule) -> None:
    """Evaluate a schedule at some fractions of the training.

    Raises:
        ConfigError: If one of its multipliers is negative or not finite, or all are 0.
    """
    factors = [float(schedule(step / 20)) for step in range(21)]
    name = type(schedule).__name__
    wrong = [factor for factor in factors if not 0 <= factor < math.inf]
    require(not wrong, f"model.schedule: {name} multiplies the learning rate by {wrong[0] if wrong else 0}")
    require(any(factors), f"model.schedule: {name} keeps the learning rate at 0 all the time")


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


def check_scheduler(task: Task, trainer: L.Trainer, epoch: int) -> None:
    """Let a scheduler of torch advance to the end of the training, for an optimizer of small tensors.

    Args:
        task: The task.
        trainer: The trainer of the run.
        epoch: Batches in an epoch of one process.

    Raises:
        ConfigError: If it ends before, or a learning rate becomes negative or infinite, or all are 0.
    """
    if isinstance(task.schedule, Schedule) or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    scheduler: Any = _make_scheduler(task)
    if isinstance(scheduler, ReduceLROnPlateau):
        return
    steps = _count_steps(trainer, epoch)
    if task.schedule_interval != "step":
        steps //= _count_steps_per_epoch(trainer, epoch)
    _step(scheduler.optimizer)
    highest = max(_require_rates(scheduler))
    for step in range(min(steps, _LONGEST_SCHEDULE)):
        try:
            scheduler.step()
        except Exception as error:
            if passes_user_code(error.__traceback__):
                raise
            unit = "steps" if task.schedule_interval == "step" else "epochs"
            raise ConfigError(
                f"model.schedule: {type(scheduler).__name__} ends after {step} of the {steps} {unit} of this training: "
                f"{reason(error)}"
            ) from error
        highest = max(highest, *_require_rates(scheduler))
    require(highest > 0, f"model.schedule: {type(scheduler).__name__} keeps the learning rate at 0 all the time")


def check_shares(task: Task, trainer: L.Trainer, epoch: int) -> None:
    """Check that the encoder is trained, unless it is frozen throughout.

    Args:
        task: The task.
        trainer: The trainer of the run.
        epoch: Batches in an epoch of one process.

    Raises:
        ConfigError: If the training ends before.
    """
    share = task.freeze_encoder
    if trainer.fast_dev_run or share == 1:  # type: ignore[attr-defined]
        return
    steps = _count_steps(trainer, epoch)
    require(
        share <= 1 - 1 / steps,
        f"model.freeze_encoder: {share} of {steps} steps is after the last one, so that the encoder is never trained; "
        f"give {math.floor(100 * (1 - 1 / steps)) / 100:g} or less, or 1 to freeze it throughout",
    )


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
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    steps = _count_steps(trainer, epoch)
    require(
        start <= 1 - 1 / steps,
        f"model.class_weights_from: {start} of {steps} steps is after the last one, so that the class weights never "
        f"apply; give {math.floor(100 * (1 - 1 / steps)) / 100:g} or less, or train for longer",
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


def _count_steps(trainer: L.Trainer, epoch: int) -> int:
    """Return the optimizer steps of a training, which has an end, with `epoch` batches in an epoch of one process."""
    steps = trainer.max_steps if trainer.max_steps > 0 else math.inf
    if trainer.max_epochs and trainer.max_epochs > 0:
        steps = min(steps, trainer.max_epochs * _count_steps_per_epoch(trainer, epoch))
    return int(steps)


def _count_steps_per_epoch(trainer: L.Trainer, epoch: int) -> int:
    return math.ceil(_limited(epoch, trainer.limit_train_batches) / trainer.accumulate_grad_batches)


def _limited(length: int, limit: float) -> int:
    return min(length, limit) if isinstance(limit, int) else int(length * limit)


def _make_scheduler(task: Task) -> LRScheduler:
    """Return the scheduler of a task for an optimizer of small tensors."""
    groups = param_groups(task.net, task.encoder, *task.lr_factors)
    optimizer = task.make_optimizer([{**group, "params": _shrink(group["params"])} for group in groups])
    scale_groups(optimizer)
    scheduler: LRScheduler = configure_scheduler(optimizer, task.schedule, task.schedule_interval, 20)["scheduler"]
    return scheduler


def _require_factors(scheduler: LRScheduler) -> None:
    """Check that a scheduler, which has set the first learning rates, keeps the factors of the groups.

    Raises:
        ConfigError: If it sets one rate for all groups.
    """
    groups = scheduler.optimizer.param_groups
    rates, factors = ({float(group[name]) for group in groups} for name in ("lr", "lr_factor"))
    require(
        len(factors) == 1 or len(rates) > 1 or rates == {0},
        f"model.schedule: {type(scheduler).__name__} sets one learning rate for all parameters, so that "
        "model.encoder_lr_factor, layer_decay and norm_bias_lr_factor change nothing; leave them out, or take a "
        "schedule of lightseg.optim",
    )


def _require_rates(scheduler: LRScheduler) -> list[float]:
    """Return the learning rates that a scheduler has set.

    Raises:
        ConfigError: If one is negative or not finite.
    """
    rates = [float(group["lr"]) for group in scheduler.optimizer.param_groups]
    invalid = [rate for rate in rates if not 0 <= rate < math.inf]
    name = type(scheduler).__name__
    require(not invalid, f"model.schedule: {name} makes the learning rate {invalid[0] if invalid else 0}")
    return rates


def _shrink(parameters: list[Tensor]) -> list[nn.Parameter]:
    ranks = {parameter.ndim: parameter.dtype for parameter in parameters}
    return [nn.Parameter(torch.zeros((2,) * rank, dtype=dtype)) for rank, dtype in sorted(ranks.items())]


def _step(optimizer: torch.optim.Optimizer) -> None:
    def closure() -> Tensor:
        for group in optimizer.param_groups:
            for value in group["params"]:
                value.grad = torch.ones_like(value)
        return torch.ones(())

    closure()
    optimizer.step(closure)  # type: ignore[arg-type]


def _advice(kind: Any, groups: list[dict[str, Any]]) -> str:
    """Return the message about parameters that an optimizer for matrices does not accept."""
    if getattr(kind, "__name__", "") != "Muon":
        return ""
    parameters = [parameter for group in groups for parameter in group["params"]]
    others = sum(parameter.ndim != 2 for parameter in parameters)
    return (
        f"; {others} of the {len(parameters)} weights of this net are no matrices (convolutions, norms, biases): "
        "take another optimizer, such as AdamW"
    )
