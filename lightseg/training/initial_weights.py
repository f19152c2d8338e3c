"""Start of a training from the weights of a trained model."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from lightseg.checkpoint.origin import read_origin
from lightseg.checkpoint.rebuild import class_tensors
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.errors import ConfigError, require
from lightseg.nets.lora import base_names
from lightseg.runs.records import read_record
from lightseg.tasks import Task
from lightseg.tasks.fine_tuning import SharedWeights
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


def take_initial_weights(cli: LightsegCLI, continued: Path | None) -> InitialWeights | None:
    """Give the task the weights of `model.init`, the same on every process.

    Args:
        cli: The parsed recipe; its task is changed.
        continued: The run folder to resume or to extend; a checkpoint in it has all weights, so that the origin is not
            read unless checkpoints leave some weights to it.

    Returns:
        The weights; None if there are none to take.

    Raises:
        ConfigError: If the origin cannot be read, does not fit, or is not what it was at the start of that run.
    """
    task, data = cli.model, cli.datamodule
    leaves_out = task.adapters.lora is not None and task.adapters.lora.save == "adapters"
    if task.init is None:
        require(not leaves_out, "model.lora.save: adapters: the other weights are those of model.init; give it too")
        return None
    if continued and has_checkpoint(continued) and not leaves_out:
        return None
    origin, record = read_origin(task.init)
    if continued and (read_record(continued / "model.json").get("init") or {}).get("sha256") != record["sha256"]:
        raise ConfigError(
            f"model.init: {origin.source}: is not the file that the run started from; bring it back, or start a new run"
        )
    names = set[str]()
    if data.classes != list(origin.classes):
        names = class_tensors(task.net, cli.resolved_values(), data.num_classes, data.in_channels)
    report = task.start_from(origin, Target(data.classes, data.in_channels, names))
    if leaves_out:
        task.shared = _shared_weights(task, report, record["sha256"])
    return InitialWeights(report, record)


def _shared_weights(task: Task, report: Report, digest: str) -> SharedWeights:
    """Return the frozen weights that a task has taken over as they are."""
    weights = report.origin.state
    equal = {name for name in report.equal if name.startswith("encoder.") and weights[name].dtype == torch.float32}
    names = base_names(task.net.state_dict())
    file = str(Path(report.origin.source).resolve())
    return SharedWeights(file, digest, [f"net.{name}" for name, plain in names.items() if plain in equal])
