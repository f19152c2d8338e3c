"""Trained weights from which another training starts, read as data alone."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lightseg.checkpoint import hub
from lightseg.checkpoint.loading import merged_weights, read
from lightseg.checkpoint.locate import model_file, split_members
from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import expand_home, sha256
from lightseg.files.printable import printable_line
from lightseg.tasks.transfer import Origin

_PREFIX = "net."
"""Start of the names of a net's tensors in the state of a task."""


class TrainedOrigin(NamedTuple):
    """Trained net, and its record for the run that starts from it.

    Attributes:
        origin: The net.
        record: `init` of the run's `model.json`: name of the run, file, SHA-256, validation score and classes.
    """

    origin: Origin
    record: dict[str, Any]


def read_origin(source: str) -> TrainedOrigin:
    """Read a trained net; none of its classes is imported or built.

    Args:
        source: A run folder, whose best checkpoint is meant; a checkpoint or an exported `.safetensors`; or an address
            on the Hugging Face Hub.

    Raises:
        ConfigError: If there is no such file, or several, it is damaged or no checkpoint of lightseg, a weight is not
            finite, or a variance is negative.
    """
    try:
        path = expand_home(source)
        if split_members(path) != [path]:
            raise UserError(f"{source}: stands for several models, and a training starts from one; name one of them")
        file = model_file(path)
        checkpoint = read(file)
    except UserError as error:
        raise ConfigError(f"model.init: {error}") from None
    try:
        weights = merged_weights(checkpoint)
    except ConfigError as error:
        raise ConfigError(f"model.init: {file}: {error}") from None
    recipe, state = checkpoint["lightseg"], _net_state(weights, file)
    net = recipe["config"]["model"]["init_args"]["net"]["class_path"].rpartition(".")[2]
    mean, std = recipe["resolved"].get("mean"), recipe["resolved"].get("std")
    origin = Origin(str(file), net, state, recipe["classes"], recipe["in_channels"], mean, std)
    return TrainedOrigin(origin, make_record(source, file, checkpoint))


def make_record(source: str, file: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a trained model for a run that uses it, without paths of this machine.

    Args:
        source: The argument that names the model.
        file: Its file.
        checkpoint: The content of the file.

    Returns:
        Name of the run, file, SHA-256, validation score and classes.
    """
    record = {"run": _name(source, file), "file": file.name, "sha256": sha256(file), "score": _best_score(checkpoint)}
    return {**record, "classes": checkpoint["lightseg"]["classes"]}


def _net_state(state: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Return the state dict of the net in that of a task."""
    for name, value in state.items():
        if not name.startswith(_PREFIX):
            continue
        is_negative = name.endswith("running_var") and not value.is_complex() and bool((value < 0).any())
        if is_negative or not value.isfinite().all():
            fault = "a negative variance" if is_negative else "NaN or infinity"
            raise ConfigError(
                f"model.init: {file}: state_dict.{printable_line(name)[:80]}: holds {fault}; "
                "start from another checkpoint"
            )
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}


def _best_score(checkpoint: dict[str, Any]) -> float | None:
    """Return the validation score of a checkpoint; None if it has none, as an exported file."""
    value: Any = checkpoint
    for key in ("callbacks", "Best", "best_model_score"):
        value = value.get(key) if isinstance(value, dict) else None
    score = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    return score if isinstance(score, float) and math.isfinite(score) else None


def _name(source: str, file: Path) -> str:
    """Return a name of the trained model without paths of this machine: `EXPERIMENT/RUN`, an address, or a file."""
    if source.startswith(hub.SCHEME):
        return source
    folder = file.resolve().parent.parent
    is_run = (folder / "config.yaml").is_file()
    return printable_line(f"{folder.parent.name}/{folder.name}" if is_run else file.name)
