"""Learning-rate schedules as functions of the fraction of training done, and the schedulers of torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from lightseg.errors import require

SchedulerCallable = Callable[[Optimizer], LRScheduler]
"""Constructor of a scheduler of torch, such as `partial(StepLR, step_size=10)`."""

Interval = Literal["step", "epoch"]
"""Time between two steps of a scheduler of torch."""

WARMUP_START = 0.01


class Schedule(ABC):
    """Multiplier of the base learning rate over training."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Return the multiplier, >= 0, at a fraction of training in [0, 1]."""


class WarmedUp(Schedule):
    """Linear rise from `WARMUP_START` to 1, and then `after_warmup`.

    It does not start at 0, with which the first batch would have no effect.

    Args:
        warmup: Fraction of training, in [0, 1).

    Raises:
        ConfigError: If a fraction is out of its range.
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
        """Return the multiplier at a fraction, in [0, 1], of the steps after the warm-up; 1 at 0."""


class Constant(WarmedUp):
    """Base learning rate throughout, after an optional warm-up."""

    def after_warmup(self, progress: float) -> float:  # noqa: ARG002
        """See `WarmedUp`."""
        return 1.0


class WarmupCosine(WarmedUp):
    """Half a cosine from 1 down to `final`.

    Args:
        warmup: Fraction of training, in [0, 1).
        final: Multiplier at the end, in [0, 1].

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
        power: Above 0; 1 is a straight line.
        warmup: Fraction of training, in [0, 1).

    Source: Chen et al. 2017, arXiv:1606.00915, the "poly" policy.
    """

    def __init__(self, power: float = 0.9, warmup: float = 0.0) -> None:
        super().__init__(warmup)
        require(math.isfinite(power) and power > 0, f"power must be above 0, not {power}")
        self.power = power

    def after_warmup(self, progress: float) -> float:
        """See `WarmedUp`."""
        # rounding may give a progress above 1, and a power of a negative number is complex
        return float(max(0.0, 1 - progress) ** self.power)


class OneCycle(Schedule):
    """Half a cosine from `start` up to the base learning rate, and another down to `final`.

    Args:
        peak_at: Fraction of training, in (0, 1).
        start: Multiplier at the start, in (0, 1].
        final: Multiplier at the end, in [0, 1].

    Raises:
        ConfigError: If a fraction is out of its range.

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
            return self.between(self.start, 1.0, progress / self.peak_at)
        return self.between(1.0, self.final, (progress - self.peak_at) / (1 - self.peak_at))

    def between(self, start: float, end: float, progress: float) -> float:
        """Interpolate between two multipliers."""
        return _cosine(start, end, progress)


class Triangular(OneCycle):
    """Straight line from `start` up to the base learning rate, and another down to `final`.

    Args:
        peak_at: Fraction of training, in (0, 1).
        start: Multiplier at the start, in (0, 1].
        final: Multiplier at the end, in [0, 1].

    Source: Smith 2017, arXiv:1506.01186, one cycle of the "triangular" policy; the defaults are those of Jordan 2024,
    arXiv:2404.00498.
    """

    def __init__(self, peak_at: float = 0.23, start: float = 0.2, final: float = 0.07) -> None:
        super().__init__(peak_at, start, final)

    def between(self, start: float, end: float, progress: float) -> float:
        """See `OneCycle`."""
        return start + (end - start) * progress


def configure_scheduler(
    optimizer: Optimizer,
    schedule: Schedule | SchedulerCallable,
    interval: Interval | None,
    total_steps: float,
    epochs_per_validation: int | None = 1,
) -> LRSchedulerConfigType:
    """Return the scheduler of an optimizer, as Lightning's `configure_optimizers` returns it.

    Args:
        optimizer: The optimizer.
        schedule: A schedule, for each step; or the constructor of a scheduler of torch.
        interval: Time between two steps of a scheduler of torch; None: an epoch.
        total_steps: Optimizer steps of the training, at least 1; infinity is allowed for a scheduler of torch.
        epochs_per_validation: Epochs after which `ReduceLROnPlateau` finds a score.

    Raises:
        ConfigError: If a schedule has an interval or no length, or a plateau is looked for in every step.
    """
    if isinstance(schedule, Schedule):
        require(
            interval is None,
            f"model.schedule_interval: {type(schedule).__name__} gives each step its learning rate; leave it out",
        )
        return {"scheduler": make_scheduler(optimizer, schedule, total_steps), "interval": "step"}
    scheduler = schedule(optimizer)
    require(
        isinstance(scheduler, LRScheduler),
        f"model.schedule: {type(scheduler).__name__} is not a scheduler; name a class of torch.optim.lr_scheduler",
    )
    if not isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": interval or "epoch"}
    require(
        type(scheduler).__module__.partition(".")[0] != "lightning",
        "model.schedule: its metric follows from `mode`; take torch.optim.lr_scheduler.ReduceLROnPlateau",
    )
    require(
        interval != "step", "model.schedule_interval: ReduceLROnPlateau follows the score of an epoch; leave it out"
    )
    return {
        "scheduler": scheduler,
        "interval": "epoch",
        "frequency": epochs_per_validation or 1,
        "monitor": "val/score" if scheduler.mode == "max" else "val/loss",
    }


class _ScheduleLR(LambdaLR):
    """Learning rates of a schedule, which follow it even if a state is loaded of a training of another length."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state, and set the learning rates of its step, which the state of the optimizer has otherwise."""
        super().load_state_dict(state_dict)
        rates = [base * rule(self.last_epoch) for base, rule in zip(self.base_lrs, self.lr_lambdas, strict=True)]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates


def make_scheduler(optimizer: Optimizer, schedule: Schedule, total_steps: float) -> LambdaLR:
    """Return a scheduler to be stepped once per optimizer step; step s has the learning rate of `s / total_steps`.

    Args:
        optimizer: The optimizer; the base rates are those of its groups.
        schedule: The multiplier.
        total_steps: Optimizer steps of the training, at least 1.

    Raises:
        ConfigError: If the training has no end or no step.
    """
    require(
        math.isfinite(total_steps) and total_steps >= 1,
        f"a schedule is a fraction of training, which here has {total_steps} steps; "
        "set trainer.max_epochs or trainer.max_steps",
    )
    # a partial, since the state of a class would be stored in checkpoints
    return _ScheduleLR(optimizer, partial(_multiplier, schedule=schedule, total_steps=total_steps))


def _multiplier(step: int, schedule: Schedule, total_steps: float) -> float:
    return schedule(min(step / total_steps, 1.0))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
