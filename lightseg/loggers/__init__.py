"""Loggers: the run folder always, Weights & Biases on request."""

from lightseg.loggers.run_log import RunLog
from lightseg.loggers.wandb import Wandb

__all__ = ["RunLog", "Wandb"]
