"""Loggers: the run folder always; Weights & Biases, MLflow and TensorBoard on request."""

from lightseg.loggers.mlflow import MLflow
from lightseg.loggers.run_log import RunLog
from lightseg.loggers.tensorboard import TensorBoard
from lightseg.loggers.wandb import Wandb

__all__ = ["MLflow", "RunLog", "TensorBoard", "Wandb"]
