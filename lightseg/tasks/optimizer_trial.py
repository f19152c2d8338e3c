"""Trials of a recipe's optimizer and schedule on small tensors, before the run folder exists."""

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightseg.config.class_errors import describe_failed_class, passes_user_code, reason
from lightseg.errors import ConfigError, require
from lightseg.optim.optimizer import scale_groups
from lightseg.optim.param_groups import param_groups
from lightseg.optim.schedules import Schedule, configure_scheduler
from lightseg.tasks import Task
from lightseg.tasks.training_length import count_steps, count_steps_per_epoch

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
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        try:
            optimizer = task.make_optimizer(_shrink(groups))
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
    steps = count_steps(trainer, epoch)
    if task.schedule_interval != "step":
        steps //= count_steps_per_epoch(trainer, epoch)
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


def _make_scheduler(task: Task) -> LRScheduler:
    """Return the scheduler of a task for an optimizer of small tensors."""
    groups = param_groups(task.net, task.encoder, *task.lr_factors)
    optimizer = task.make_optimizer(_shrink(groups))
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


def _shrink(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return parameter groups with small tensors, one for each rank."""
    small_groups = []
    for group in groups:
        ranks = {parameter.ndim: parameter.dtype for parameter in group["params"]}
        tensors = [torch.zeros((2,) * rank, dtype=dtype) for rank, dtype in sorted(ranks.items())]
        small_groups.append({**group, "params": [nn.Parameter(tensor) for tensor in tensors]})
    return small_groups


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
