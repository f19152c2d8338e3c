"""Optimizer, its parameter groups, and learning-rate schedules."""

from lightseg.optim.optimizer import configure_optimizer
from lightseg.optim.param_groups import param_groups
from lightseg.optim.schedules import (
    Constant,
    OneCycle,
    Poly,
    Schedule,
    Triangular,
    WarmupCosine,
    configure_scheduler,
    make_scheduler,
)

__all__ = [
    "Constant",
    "OneCycle",
    "Poly",
    "Schedule",
    "Triangular",
    "WarmupCosine",
    "configure_optimizer",
    "configure_scheduler",
    "make_scheduler",
    "param_groups",
]
