"""Start of a training from the weights of a trained model."""

from pathlib import Path
from typing import Any, NamedTuple

from lightseg.checkpoint.origin import read_origin
from lightseg.checkpoint.rebuild import class_tensors
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.errors import ConfigError
from lightseg.runs.records import read_record
from lightseg.tasks.transfer import Report, Target
from lightseg.training.resume import has_checkpoint


class InitialWeights(NamedTuple):
    """Weights that a training has taken over.

    Attributes:
        report: What was taken.
        record: The origin, for the run's `model.json`.
    """

    report: Report
    record: dict[str, Any]


def take_initial_weights(cli: LightsegCLI, resumed: Path | None) -> InitialWeights | None:
    """Give the task the weights of `model.init`, the same on every process.

    Args:
        cli: The parsed recipe; its task is changed.
        resumed: The run folder to resume; a checkpoint in it has all weights, so that the origin is not read.

    Returns:
        The weights; None if there are none to take.

    Raises:
        ConfigError: If the origin cannot be read, does not fit, or is not what it was at the start of a resumed run.
    """
    task, data = cli.model, cli.datamodule
    if task.init is None or (resumed and has_checkpoint(resumed)):
        return None
    origin, record = read_origin(task.init)
    if resumed and (read_record(resumed / "model.json").get("init") or {}).get("sha256") != record["sha256"]:
        raise ConfigError(
            f"model.init: {origin.source}: is not the file that the run started from; bring it back, or start a new run"
        )
    names = set[str]()
    if data.classes != list(origin.classes):
        names = class_tensors(task.net, cli.resolved_values(), data.num_classes, data.in_channels)
    report = task.start_from(origin, Target(data.classes, data.in_channels, names))
    return InitialWeights(report, record)
