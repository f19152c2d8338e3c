"""Callbacks beside Lightning's own: what a run shows, and what keeps it sound."""

from lightseg.callbacks.ema import EMA
from lightseg.callbacks.interrupt import Interrupt
from lightseg.callbacks.last_checkpoint import LastCheckpoint
from lightseg.callbacks.non_finite import NonFiniteGuard
from lightseg.callbacks.progress import EpochLines
from lightseg.callbacks.throughput import Throughput

__all__ = ["EMA", "EpochLines", "Interrupt", "LastCheckpoint", "NonFiniteGuard", "Throughput"]
