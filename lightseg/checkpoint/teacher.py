"""Trained model from which another one learns, loaded as a file of any origin."""

from pathlib import Path
from typing import Any, NamedTuple

from lightseg.checkpoint.loading import build, combine, read
from lightseg.checkpoint.locate import model_file, split_members
from lightseg.checkpoint.origin import make_record
from lightseg.errors import ConfigError, UserError, require
from lightseg.files.atomic import expand_home
from lightseg.tasks import Task


class TrainedTeacher(NamedTuple):
    """Trained task, and its records for the run that learns from it.

    Attributes:
        task: The task, an ensemble of several; their temperatures are 1, whatever was calibrated.
        records: Name of the run, file, SHA-256, validation score and classes of each model.
    """

    task: Task
    records: list[dict[str, Any]]


def load_teacher(source: str, trust: bool = False) -> TrainedTeacher:
    """Load the teacher of a run.

    Args:
        source: A model, or several joined by `+`, as in `lightseg.load`, but no pattern: the folder of the run that
            learns could match it, on some processes and at a resume.
        trust: As in `lightseg.load`.

    Raises:
        ConfigError: If a model cannot be loaded, or they do not fit each other.
    """
    patterns = [part for part in source.split("+") if set(part) & set("*?[") and not Path(part).exists()]
    require(not patterns, f"model.teacher: {source}: is a pattern, which may match other runs later; join models by +")
    try:
        sources = split_members(expand_home(source))
        files = [model_file(member) for member in sources]
        checkpoints = [read(file) for file in files]
        tasks = [build(checkpoint, file, trust) for checkpoint, file in zip(checkpoints, files, strict=True)]
        for task in tasks:
            # a calibration later on would change the training of a run that is resumed
            task.temperature = 1.0
        teacher = combine(tasks, files)
    except UserError as error:
        raise ConfigError(f"model.teacher: {error}") from None
    return TrainedTeacher(teacher, [make_record(*model) for model in zip(sources, files, checkpoints, strict=True)])
