"""Trained models that a training starts from: an extended run, initial weights, a teacher."""

from pathlib import Path
from typing import Any, NamedTuple

from lightseg.checkpoint.teacher import TrainedTeacher
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.runs.records import read_record
from lightseg.training.extension import Extension, find_extension
from lightseg.training.initial_weights import InitialWeights, take_initial_weights
from lightseg.training.resume import restore_image_values
from lightseg.training.teacher import take_teacher


class StartingPoint(NamedTuple):
    """Trained models that a training starts from.

    Attributes:
        extension: Finished run whose training goes on.
        initial_weights: Weights of `model.init` that the task has taken over.
        teacher: Trained task that the task imitates.
        lineage: Records of the models whose weights the training starts, or has started, from: `extend` and `init`.
    """

    extension: Extension | None
    initial_weights: InitialWeights | None
    teacher: TrainedTeacher | None
    lineage: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        """Return the start lines on weights."""
        reports = [self.initial_weights.report] if self.initial_weights else []
        return [str(report) for report in (*reports, self.extension) if report]


def take_starting_point(cli: LightsegCLI, resumed: Path | None) -> StartingPoint:
    """Give the task what it has from trained models, and the data the meaning of values, the same on every process.

    Args:
        cli: The parsed recipe; its task and its data module are changed.
        resumed: The run folder to resume; None for a new run.

    Raises:
        ConfigError: If a model cannot be read, does not fit, or is not what it was at the start of a resumed run.
        UserError: If a file of a run is damaged.
    """
    extension = find_extension(cli, resumed)
    continued = extension.folder if extension else resumed
    if continued:
        restore_image_values(cli.datamodule, continued)
    initial_weights, teacher = take_initial_weights(cli, continued), take_teacher(cli, continued)
    return StartingPoint(extension, initial_weights, teacher, _lineage(resumed, extension, initial_weights))


def _lineage(
    resumed: Path | None, extension: Extension | None, initial_weights: InitialWeights | None
) -> dict[str, Any]:
    if resumed:
        record = read_record(resumed / "model.json")
        return {key: record[key] for key in ("init", "extend") if record.get(key)}
    if extension:
        return extension.lineage
    return {"init": initial_weights.record} if initial_weights else {}
