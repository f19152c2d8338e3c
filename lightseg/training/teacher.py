"""Teacher of a training: loaded, checked against the data, and recorded."""

from pathlib import Path
from typing import Any, NamedTuple

from lightseg.checkpoint.teacher import TrainedTeacher, load_teacher
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.data.io.image_values import ImageValues, image_values
from lightseg.errors import ConfigError, require
from lightseg.losses.distillation import Distillation
from lightseg.runs.diff import format_value
from lightseg.runs.origin import describe_origin
from lightseg.runs.records import read_record
from lightseg.tasks import Ensemble
from lightseg.tasks.preflight import fits
from lightseg.training.flops import measure_cost


class TeacherReport(NamedTuple):
    """Teacher of a run, for its start line and its records.

    Attributes:
        text: The line.
        record: `teacher` of the run's `model.json`.
    """

    text: str
    record: dict[str, Any]


def take_teacher(cli: LightsegCLI, resumed: Path | None) -> TrainedTeacher | None:
    """Give the task the teacher of `model.teacher`, the same on every process.

    Args:
        cli: The parsed recipe; its task is changed.
        resumed: The run folder to resume.

    Returns:
        The teacher; None if there is none.

    Raises:
        ConfigError: If it cannot be loaded, does not fit, or is not what a resumed run started with.
    """
    task, source = cli.model, cli.model.teacher_source
    teacher = None if source is None else load_teacher(source, cli.config.trust)
    if resumed:
        recorded = (read_record(resumed / "model.json").get("teacher") or {}).get("members", [])
        records = teacher.records if teacher else []
        require(
            [record["sha256"] for record in records] == [record["sha256"] for record in recorded],
            f"model.teacher: {source}: is not the model that the run started with "
            f"({', '.join(map(describe_origin, recorded)) or 'none'}); bring it back, or start a new run",
        )
    if teacher is None:
        require(
            vars(task.distillation) == vars(Distillation()),
            "model.teacher_temperature, model.teacher_weight: change nothing without a teacher; give model.teacher, or "
            "leave them out",
        )
        return None
    require(
        task.distillation.weight < 1 or not (task.loss.tau or task.loss.weights_from),
        "model.teacher_weight: 1 trains by the teacher alone, so that model.logit_adjustment and class_weights_from "
        "change nothing; leave them out, or give less",
    )
    channels = teacher.task.recipe["in_channels"]
    require(
        channels == cli.datamodule.in_channels,
        f"model.teacher: {source}: it takes {channels} channels, and the data has {cli.datamodule.in_channels}; take a "
        "teacher of the same images",
    )
    task.learn_from(teacher.task)
    return teacher


def check_teacher(cli: LightsegCLI, teacher: TrainedTeacher) -> TeacherReport:
    """Check that a teacher takes the images of the training, and measure its cost; the data has been checked.

    Args:
        cli: The parsed recipe; that of the checkpoints gets the records of the teacher.
        teacher: The teacher.

    Raises:
        ConfigError: If it does not take images of this size, or was trained on images of other values.
    """
    task, data, key = teacher.task, cli.datamodule, f"model.teacher: {cli.model.teacher_source}"
    before, now = map(_describe_values, (image_values(task.recipe), data.image_values))
    require(
        before == now,
        f"{key}: it was trained on images with {before}, and the data has {now}; set data.bands, data.value_range and "
        "data.nodata as there",
    )
    sample = data.train_sample()
    try:
        with fits(task, sample):
            cost = measure_cost(task, sample)
    except ConfigError as error:
        raise ConfigError(f"{key}: {str(error).removeprefix('model.net: ')}") from error
    members = task.members if isinstance(task, Ensemble) else [task]
    nets = " + ".join(type(member.net).__name__ for member in members)
    text = (
        f"teacher: {nets}, {cost['parameters'] / 1e6:.2f} M parameters, {cost['gflops']:.2f} GFLOPs, from "
        f"{' + '.join(map(describe_origin, teacher.records))}; {cli.model.distillation}"
    )
    cli.model.recipe["teacher"] = teacher.records
    record = {"members": teacher.records, "parameters": cost["parameters"], "gflops": cost["gflops"]}
    return TeacherReport(text, record)


def _describe_values(values: ImageValues) -> str:
    """Return the meaning of the values of images as text; the replacement of missing ones follows the training data."""
    record = values._replace(fill=None).to_record()
    return ", ".join(f"{name} {format_value(value)}" for name, value in record.items()) or "values as stored in files"
