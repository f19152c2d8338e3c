"""LightningModules, one per task; the network inside is a plain module."""

from lightseg.tasks.base import Task
from lightseg.tasks.classification import ClassificationTask
from lightseg.tasks.ensemble import Ensemble
from lightseg.tasks.multilabel import (
    BinaryClassificationTask,
    BinarySegmentationTask,
    MultilabelClassificationTask,
    MultilabelSegmentationTask,
)
from lightseg.tasks.scored_task import Stage
from lightseg.tasks.segmentation import SegmentationTask

__all__ = [
    "BinaryClassificationTask",
    "BinarySegmentationTask",
    "ClassificationTask",
    "Ensemble",
    "MultilabelClassificationTask",
    "MultilabelSegmentationTask",
    "SegmentationTask",
    "Stage",
    "Task",
]
