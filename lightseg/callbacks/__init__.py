"""Callbacks beside Lightning's own: what a run shows, and what keeps it sound."""

from lightseg.callbacks.bar import Bar
from lightseg.callbacks.best import Best
from lightseg.callbacks.class_counts import DrawnClasses
from lightseg.callbacks.collapse import CollapseWarning
from lightseg.callbacks.ema import EMA
from lightseg.callbacks.graceful_stop import Interrupt
from lightseg.callbacks.last_checkpoint import LastCheckpoint
from lightseg.callbacks.learning_rate import LearningRate
from lightseg.callbacks.lookahead import Lookahead
from lightseg.callbacks.non_finite import NonFiniteGuard
from lightseg.callbacks.prediction_snapshots import Samples
from lightseg.callbacks.progress import EpochLines
from lightseg.callbacks.step_seed import StepSeed
from lightseg.callbacks.throughput import Throughput

__all__ = [
    "EMA",
    "Bar",
    "Best",
    "CollapseWarning",
    "DrawnClasses",
    "EpochLines",
    "Interrupt",
    "LastCheckpoint",
    "LearningRate",
    "Lookahead",
    "NonFiniteGuard",
    "Samples",
    "StepSeed",
    "Throughput",
]
