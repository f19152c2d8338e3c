"""Callbacks in addition to Lightning's: checkpoints, graceful stop, weight averages, progress, warnings."""

from lightseg.callbacks.bar import Bar
from lightseg.callbacks.best import BestCheckpoint
from lightseg.callbacks.class_counts import ClassCounter
from lightseg.callbacks.collapse import CollapseWarning
from lightseg.callbacks.ema import EMA
from lightseg.callbacks.graceful_stop import GracefulStop
from lightseg.callbacks.last_checkpoint import LastCheckpoint
from lightseg.callbacks.learning_rate import LearningRate
from lightseg.callbacks.lookahead import Lookahead
from lightseg.callbacks.non_finite import NonFiniteGuard
from lightseg.callbacks.prediction_snapshots import PredictionSnapshots
from lightseg.callbacks.progress import EpochPrinter, ScoringPrinter
from lightseg.callbacks.step_seed import StepSeed
from lightseg.callbacks.throughput import Throughput

__all__ = [
    "EMA",
    "Bar",
    "BestCheckpoint",
    "ClassCounter",
    "CollapseWarning",
    "EpochPrinter",
    "GracefulStop",
    "LastCheckpoint",
    "LearningRate",
    "Lookahead",
    "NonFiniteGuard",
    "PredictionSnapshots",
    "ScoringPrinter",
    "StepSeed",
    "Throughput",
]
