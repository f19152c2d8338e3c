"""The optimiser's parameter groups, and learning-rate schedules as functions of the fraction of training done."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lightseg.errors import ConfigError, require

WARMUP_START = 0.01


def param_groups(net: nn.Module, encoder: nn.Module | None, encoder_lr_factor: float) -> list[dict[str, Any]]:
    """Sort the trainable parameters into groups: encoder or rest, with or without weight decay.

    Norms and biases, and everything else of at most one dimension, take no weight decay.

    Args:
        net: all that is trained.
        encoder: the part of `net` whose learning rate has a factor, or None.
        encoder_lr_factor: that factor, > 0; 1 where there is no encoder.

    Returns:
        The groups that are not empty, sorted by name, each with `params`, `name`, `lr_factor` and `decay`. Every
        trainable parameter is in exactly one.

    Raises:
        ConfigError: the factor is impossible, has nothing to act on, or nothing is trainable.
    """
    require(
        math.isfinite(encoder_lr_factor) and encoder_lr_factor > 0,
        f"encoder_lr_factor must be above 0, not {encoder_lr_factor}; to keep the encoder as it is, freeze it",
    )
    require(
        encoder is not None or encoder_lr_factor == 1,
        f"encoder_lr_factor is {encoder_lr_factor}, but {type(net).__name__} has no encoder; remove it",
    )
    own = set(net.parameters())
    inside = set(encoder.parameters()) if encoder is not None else set()
    require(inside <= own, "the encoder has parameters that are not in the net")
    groups: dict[str, dict[str, Any]] = {}
    for parameter in net.parameters():
        if parameter.requires_grad:
            part, decay = ("encoder" if parameter in inside else "rest"), parameter.ndim > 1
            name = part if decay else f"{part}_no_decay"
            factor = encoder_lr_factor if part == "encoder" else 1.0
            fresh: dict[str, Any] = {"params": [], "name": name, "lr_factor": factor, "decay": decay}
            groups.setdefault(name, fresh)["params"].append(parameter)
    require(bool(groups), f"{type(net).__name__} has no trainable parameter; freeze less")
    return [groups[name] for name in sorted(groups)]


def check_encoder_options(net: nn.Module, lr_factor: float, freeze: float) -> None:
    """See that options for the encoder have one to act on.

    Args:
        net: The net; what pretrained weights fill is its `encoder`.
        lr_factor: `model.encoder_lr_factor`.
        freeze: `model.freeze_encoder`.

    Raises:
        ConfigError: If there is none, or the share is out of range.
    """
    require(0 <= freeze <= 1, f"model.freeze_encoder: {freeze} is not a share of the training, 0 to 1")
    option = "freeze_encoder" if freeze else "encoder_lr_factor"
    require(
        getattr(net, "encoder", None) is not None or (not freeze and lr_factor == 1),
        f"model.{option}: {type(net).__name__} has no encoder; leave the option out",
    )


def configure_optimizer(
    make_optimizer: Callable[[list[dict[str, Any]]], Optimizer],
    net: nn.Module,
    encoder: nn.Module | None,
    encoder_lr_factor: float,
) -> Optimizer:
    """Build the optimiser over `param_groups`; learning rate and weight decay are those `make_optimizer` sets.

    Args:
        make_optimizer: takes parameter groups, such as `partial(torch.optim.AdamW, lr=1e-3)`.
        net: see `param_groups`.
        encoder: see `param_groups`.
        encoder_lr_factor: see `param_groups`.

    Raises:
        ConfigError: see `param_groups`; or the optimiser refuses the groups or its own arguments.
    """
    groups = param_groups(net, encoder, encoder_lr_factor)
    try:
        optimizer = make_optimizer(groups)
    except ValueError as error:
        names = ", ".join(group["name"] for group in groups)
        raise ConfigError(
            f"the optimizer does not accept its arguments or the parameter groups ({names}): {error}; "
            "correct the arguments, or use one that takes groups, such as torch.optim.AdamW"
        ) from error
    # set afterwards: before, the base learning rate is not known, nor whether this optimiser has a weight decay
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group["lr_factor"]
        if not group["decay"] and "weight_decay" in group:
            group["weight_decay"] = 0.0
    return optimizer


class Schedule(ABC):
    """What the base learning rate is multiplied by, over training."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Return the multiplier, >= 0, at a fraction of training in [0, 1]."""


class WarmedUp(Schedule):
    """A linear rise from `WARMUP_START` to 1, and then `after_warmup`.

    It does not start at 0, for then the first batch would be thrown away.

    Args:
        warmup: fraction of training, in [0, 1).

    Raises:
        ConfigError: a fraction is out of its range.
    """

    def __init__(self, warmup: float = 0.0) -> None:
        require(0 <= warmup < 1, f"warmup is a fraction of training, in [0, 1), not {warmup}")
        self.warmup = warmup

    def __call__(self, progress: float) -> float:
        """See `Schedule`."""
        if progress < self.warmup:
            return WARMUP_START + (1 - WARMUP_START) * progress / self.warmup
        return self.after_warmup((progress - self.warmup) / (1 - self.warmup))

    @abstractmethod
    def after_warmup(self, progress: float) -> float:
        """Return the multiplier at a fraction, in [0, 1], of what remains after the warm-up; 1 at 0."""


class Constant(WarmedUp):
    """The base learning rate throughout, after an optional warm-up."""

    def after_warmup(self, progress: float) -> float:  # noqa: ARG002
        """See `WarmedUp`."""
        return 1.0


class WarmupCosine(WarmedUp):
    """Half a cosine from 1 down to `final`.

    Args:
        warmup: fraction of training, in [0, 1).
        final: multiplier at the end, in [0, 1].

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, without restarts.
    """

    def __init__(self, warmup: float = 0.05, final: float = 0.0) -> None:
        super().__init__(warmup)
        require(0 <= final <= 1, f"final is a multiplier of the learning rate, in [0, 1], not {final}")
        self.final = final

    def after_warmup(self, progress: float) -> float:
        """See `WarmedUp`."""
        return _cosine(1.0, self.final, progress)


class Poly(WarmedUp):
    """`(1 - progress)^power`, the schedule of DeepLab.

    Args:
        power: above 0; 1 is a straight line.
        warmup: fraction of training, in [0, 1).

    Source: Chen et al. 2017, arXiv:1606.00915, the "poly" policy.
    """

    def __init__(self, power: float = 0.9, warmup: float = 0.0) -> None:
        super().__init__(warmup)
        require(math.isfinite(power) and power > 0, f"power must be above 0, not {power}")
        self.power = power

    def after_warmup(self, progress: float) -> float:
        """See `WarmedUp`."""
        # rounding may take progress past 1, and a power of a negative number is complex
        return float(max(0.0, 1 - progress) ** self.power)


class OneCycle(Schedule):
    """Half a cosine up to the base learning rate, which is the peak, and another down to almost nothing.

    Args:
        peak_at: fraction of training, in (0, 1).
        start: multiplier at the start, in (0, 1].
        final: multiplier at the end, in [0, 1].

    Raises:
        ConfigError: a fraction is out of its range.

    Source: Smith & Topin 2018, arXiv:1708.07120: cosine instead of straight lines as in `OneCycleLR`.
    """

    def __init__(self, peak_at: float = 0.3, start: float = 0.04, final: float = 1e-4) -> None:
        require(0 < peak_at < 1, f"peak_at is a fraction of training, in (0, 1), not {peak_at}")
        require(0 < start <= 1, f"start is a multiplier of the learning rate, in (0, 1], not {start}")
        require(0 <= final <= 1, f"final is a multiplier of the learning rate, in [0, 1], not {final}")
        self.peak_at, self.start, self.final = peak_at, start, final

    def __call__(self, progress: float) -> float:
        """See `Schedule`."""
        if progress < self.peak_at:
            return _cosine(self.start, 1.0, progress / self.peak_at)
        return _cosine(1.0, self.final, (progress - self.peak_at) / (1 - self.peak_at))


def make_scheduler(optimizer: Optimizer, schedule: Schedule, total_steps: float) -> LambdaLR:
    """Return a scheduler to be stepped once per optimiser step; step s has the learning rate of `s / total_steps`.

    Args:
        optimizer: its groups' learning rates are the base.
        schedule: the multiplier.
        total_steps: optimiser steps of the whole training, at least 1.

    Raises:
        ConfigError: training has no end or no step, so there are no fractions of it.
    """
    require(
        math.isfinite(total_steps) and total_steps >= 1,
        f"a schedule is a fraction of training, which here has {total_steps} steps; "
        "set trainer.max_epochs or trainer.max_steps",
    )
    # a partial leaves nothing of itself in the scheduler's state, which so stays plain data
    return LambdaLR(optimizer, partial(_multiplier, schedule=schedule, total_steps=total_steps))


def _multiplier(step: int, schedule: Schedule, total_steps: float) -> float:
    return schedule(min(step / total_steps, 1.0))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
