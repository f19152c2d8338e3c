"""Loading of trained tasks from self-contained checkpoints."""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightseg.checkpoint import safetensors
from lightseg.checkpoint.locate import follow_imports, model_files
from lightseg.checkpoint.rebuild import FORMAT_VERSION, MAX_VERSION, build_task
from lightseg.checkpoint.trusted_classes import announce, foreign_classes, foreign_losses, require_known_transforms
from lightseg.checkpoint.validation import fill, plain_weights, require_whole
from lightseg.config.plain_data import plain
from lightseg.config.recipe_schema import RECIPE, TEMPERATURE
from lightseg.config.schema import require_form
from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import sha256
from lightseg.files.pickles import refused_class
from lightseg.files.printable import printable_line
from lightseg.hardware.devices import limit_threads
from lightseg.nets.lora import Lora, merge_state, plain_names
from lightseg.runs.records import read_record
from lightseg.tasks import Task
from lightseg.tasks.ensemble import make_ensemble
from lightseg.tasks.fine_tuning import SharedWeights

_DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    MemoryError,
    AssertionError,
)
"""Exceptions that torch raises for damaged files and for files of other formats."""


def load(path: str | Path | Sequence[str | Path], trust: bool = False) -> Task:
    """Load a trained task in eval mode, without network access unless a name on the Hub is given.

    Without `trust` only nets of lightseg and some eval transforms of albumentations are built, whoever made the file.

    Args:
        path: A checkpoint or exported `.safetensors`; a run folder, whose best checkpoint is meant; a folder with a
            `model.safetensors`; or `hf://USER/REPO`, or `hf://USER/REPO@REVISION`, on the Hugging Face Hub. Several of
            these, as a sequence or joined by `+`, or a pattern of run folders, are an `Ensemble`.
        trust: Also import and run other classes that the file names, such as a custom net, from the import path that
            its run folder recorded; their names are printed.

    Raises:
        UserError: If the file is damaged or no checkpoint of lightseg, holds anything but plain data and tensors, or
            names other classes without `trust`.
        ConfigError: If the members of an ensemble do not fit each other.
    """
    limit_threads()
    paths = [path] if isinstance(path, str | Path) else path
    files = [file for member in paths for file in model_files(member)]
    return combine([build(read(file), file, trust) for file in files], files)


def combine(tasks: Sequence[Task], files: Sequence[Path]) -> Task:
    """Return the only one of some tasks, or the ensemble of several.

    Args:
        tasks: At least one task.
        files: File of each, for messages.
    """
    return tasks[0] if len(tasks) == 1 else make_ensemble(tasks, [str(file) for file in files]).eval()


def build(checkpoint: dict[str, Any], file: Path, trust: bool) -> Task:
    """Return the trained task of a checkpoint of any origin, in eval mode.

    Args:
        checkpoint: Result of `read`.
        file: The file, for messages.
        trust: As in `load`.

    Raises:
        UserError: As in `load`.
    """
    config = checkpoint["lightseg"]["config"]
    if trust:
        transforms = ((config.get("data") or {}).get("init_args") or {}).get("eval_transforms")
        model = config["model"]
        classes = foreign_classes([{**model, "init_args": model["init_args"]["net"]}, transforms])
        announce([*classes, *foreign_losses(model["init_args"].get("loss"))], file)
        follow_imports(file.resolve().parent.parent)
    else:
        require_known_transforms(config.get("data") or {}, file)
    return _build_and_fill(checkpoint, file, trust)


def reload(file: Path) -> Task:
    """Load the trained task of a checkpoint that this process has written, custom classes included."""
    return _build_and_fill(read(file), file, trust=True)


def _build_and_fill(checkpoint: dict[str, Any], file: Path, trust: bool) -> Task:
    task = build_task(checkpoint["lightseg"], file, trust, checkpoint["state_dict"])
    fill(task, checkpoint["state_dict"], file)
    task.temperature = checkpoint["temperature"] if "temperature" in checkpoint else _calibrated_temperature(file)
    return task.eval()


def _calibrated_temperature(file: Path) -> float:
    """Return the temperature that was calibrated for exactly this checkpoint of a run; 1 if there is none."""
    record = file.parent.parent / "calibration.json"
    if file.parent.name != "checkpoints" or not record.is_file():
        return 1.0
    calibration = read_record(record)
    return float(calibration["temperature"]) if calibration["sha256"] == sha256(file) else 1.0


def read(file: Path) -> dict[str, Any]:
    """Return the content of a checkpoint without running any code from it.

    Raises:
        UserError: If the file cannot be read or was not written by lightseg.
    """
    if file.suffix in (".onnx", ".pt2"):
        raise UserError(
            f"{file}: is for onnxruntime or torch.export; lightseg loads runs, .ckpt and .safetensors files"
        )
    try:
        require_whole(file)
        if file.suffix == ".safetensors":
            checkpoint = safetensors.read(file)
        elif not zipfile.is_zipfile(file):
            # torch would parse it as its legacy format and raise arbitrary errors
            raise ValueError("it is empty" if not file.stat().st_size else "it is no archive")
        else:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file}: refused: it holds more than tensors and plain data{refused_class(error)}") from None
    except _DAMAGE as error:
        # torch's explanations are a page long
        reason = str(error).partition("\n")[0].partition(". ")[0][:80]
        raise UserError(f"{file}: damaged or not a checkpoint ({reason})") from None
    return _require_recipe(checkpoint, file)


def _require_recipe(checkpoint: Any, file: Path) -> dict[str, Any]:
    """Check that content has the form that lightseg writes, and return it as plain data.

    Raises:
        UserError: If it does not.
    """
    content: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
    recipe = content.get("lightseg")
    if not isinstance(recipe, dict):
        raise UserError(
            f"{file}: not a checkpoint of lightseg: it carries no recipe; weights of other libraries are for "
            "model.net.encoder_weights of fit"
        )
    version = recipe.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        is_number = type(version) is int and 0 <= version < MAX_VERSION
        number = version if is_number else f"of type {type(version).__name__}"
        raise UserError(f"{file}: has format {number}, this lightseg reads {FORMAT_VERSION}; use the one that wrote it")
    if absent_keys := sorted({"config", "classes", "in_channels", "resolved"} - recipe.keys()):
        raise UserError(f"{file}: not a checkpoint of lightseg: its recipe has no {absent_keys[0]}")
    recipe = plain(recipe, file)
    require_form(RECIPE, recipe, file, "lightseg")
    if "temperature" in content:
        require_form(TEMPERATURE, plain(content["temperature"], f"{file}: temperature"), file, "temperature")
    content = {**content, "lightseg": recipe, "state_dict": plain_weights(content.get("state_dict"), file)}
    if recipe.get("shared"):
        _complete(content, SharedWeights(**recipe["shared"]), file)
    return content


def _complete(content: dict[str, Any], shared: SharedWeights, file: Path) -> None:
    """Add the weights that a checkpoint leaves to the file that its training has started from.

    Raises:
        UserError: If the file is missing or has another SHA-256.
    """
    source, name = Path(shared.file), printable_line(shared.file)
    if not source.is_file() or sha256(source) != shared.sha256:
        raise UserError(
            f"{file}: leaves the weights of its encoder to {name}, which is not there or another file now; bring it "
            "back"
        )
    try:
        weights = merged_weights(read(source))
        names = plain_names([*content["state_dict"], *shared.tensors])
        shared.complete(content, {tensor: weights[names[tensor]] for tensor in shared.tensors})
    except (ConfigError, KeyError) as error:
        reason = printable_line(str(error))[:120]
        raise UserError(f"{file}: leaves weights to {name} that it does not have ({reason}); damaged") from None


def merged_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, of which adapters are merged into those of their layers.

    Raises:
        ConfigError: If the adapters do not fit the layers.
    """
    state: dict[str, Tensor] = checkpoint["state_dict"]
    lora = checkpoint["lightseg"]["config"]["model"]["init_args"].get("lora")
    return state if lora is None else merge_state(state, Lora.parse(lora))
