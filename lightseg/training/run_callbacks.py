"""Callbacks and log that every run has, in addition to those of its recipe."""

from pathlib import Path

import lightning as L
from jsonargparse import Namespace

from lightseg.callbacks import (
    BestCheckpoint,
    ClassCounter,
    CollapseWarning,
    EpochPrinter,
    GracefulStop,
    LastCheckpoint,
    LearningRate,
    NonFiniteGuard,
    PredictionSnapshots,
    ScoringPrinter,
    StepSeed,
    Throughput,
)
from lightseg.files.names import LAST
from lightseg.loggers import RunLog


class RunCallbacks:
    """Callbacks and log of every run.

    Args:
        config: The parsed recipe.

    Attributes:
        first: Callbacks that run before those of the recipe.
        after: Callbacks that run after them.
    """

    def __init__(self, config: Namespace) -> None:
        self.last = LastCheckpoint(Path(), config.save_every_n_steps, config.save_every_minutes)
        self.best = BestCheckpoint()
        self.class_counter = ClassCounter()
        self.graceful_stop = GracefulStop()
        self.log = RunLog(None)
        self.first: list[L.Callback] = [
            self.last,
            self.graceful_stop,
            StepSeed(config.seed_everything),
            PredictionSnapshots(),
        ]
        self.after: list[L.Callback] = [
            self.class_counter,
            EpochPrinter(),
            ScoringPrinter(),
            Throughput(),
            NonFiniteGuard(),
            CollapseWarning(),
            LearningRate(),
            self.best,
        ]

    def write_to(self, folder: Path) -> None:
        """Write checkpoints and log to a run folder."""
        self.log.folder = folder
        self.last.path = folder / "checkpoints" / LAST
        self.best.dirpath = str(folder / "checkpoints")
