"""Checkpoints that carry their recipe: a file is all it takes to get the model back."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from lightseg.checkpoint import safetensors
from lightseg.checkpoint.io import _foreign
from lightseg.checkpoint.locate import follow_imports, model_file
from lightseg.checkpoint.rebuild import FORMAT_VERSION, MAX_VERSION, build_task
from lightseg.checkpoint.trusted_classes import announce, foreign_classes, require_known
from lightseg.checkpoint.validation import fill, plain_weights, require_whole
from lightseg.config.schema import RECIPE, TEMPERATURE, plain, require_form
from lightseg.errors import UserError
from lightseg.files.atomic import sha256
from lightseg.hardware.devices import limit_threads
from lightseg.runs.records import read_record
from lightseg.tasks import Task

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
"""The errors that torch has for files that it did not write."""


def load(path: str | Path, trust: bool = False) -> Task:
    """Return the trained task in eval mode; needs no network, but for a name on the Hub, and no other file.

    It builds nothing but nets and transforms of lightseg and albumentations, whoever made the file.

    Args:
        path: A checkpoint or exported `.safetensors`; a run folder, whose best checkpoint is meant; a folder with a
            `model.safetensors`; or `hf://USER/REPO`, or `hf://USER/REPO@REVISION`, on the Hugging Face Hub.
        trust: Import and run other classes that it names too, such as a net of your own, from where its run folder
            says that they were; which ones is printed.

    Raises:
        UserError: If it is no checkpoint of lightseg, is damaged, holds anything but plain data and tensors, or names
            other classes and is not trusted.
    """
    limit_threads()
    file = model_file(path)
    checkpoint = read(file)
    config = checkpoint["lightseg"]["config"]
    if trust:
        transforms = ((config.get("data") or {}).get("init_args") or {}).get("eval_transforms")
        announce(
            foreign_classes([{**config["model"], "init_args": config["model"]["init_args"]["net"]}, transforms]), file
        )
        follow_imports(file.resolve().parent.parent)
    else:
        _require_known_transforms(config.get("data") or {}, file)
    return _filled(checkpoint, file, trust)


def reload(file: Path) -> Task:
    """Return the trained task of a checkpoint that this process has written, with the classes that it was given."""
    return _filled(read(file), file, trust=True)


def _filled(checkpoint: dict[str, Any], file: Path, trust: bool) -> Task:
    task = build_task(checkpoint["lightseg"], file, trust, checkpoint["state_dict"])
    fill(task, checkpoint["state_dict"], file)
    task.temperature = checkpoint["temperature"] if "temperature" in checkpoint else _calibrated(file)
    return task.eval()


def _require_known_transforms(data: dict[str, Any], file: Path) -> None:
    """See that what an evaluation does to an image first is known; the data module itself is not built here."""
    for index, each in enumerate((data.get("init_args") or {}).get("eval_transforms") or []):
        require_known(each, f"data.eval_transforms.{index}", file)


def _calibrated(file: Path) -> float:
    """Return the temperature that was measured of just this checkpoint of a run; 1 if none was."""
    record = file.parent.parent / "calibration.json"
    if file.parent.name != "checkpoints" or not record.is_file():
        return 1.0
    calibration = read_record(record)
    return float(calibration["temperature"]) if calibration["sha256"] == sha256(file) else 1.0


def read(file: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; runs nothing of what it may hold.

    Raises:
        UserError: If it cannot be read or was not written by lightseg.
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
            # torch would take it for its old format, and fail in any way
            raise ValueError("it is empty" if not file.stat().st_size else "it is no archive")
        else:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file}: refused: it holds more than tensors and plain data{_foreign(error)}") from None
    except _DAMAGE as error:
        # torch's own explanations go on for a page
        reason = str(error).partition("\n")[0].partition(". ")[0][:80]
        raise UserError(f"{file}: damaged or not a checkpoint ({reason})") from None
    return _require_recipe(checkpoint, file)


def _require_recipe(checkpoint: Any, file: Path) -> dict[str, Any]:
    """Return the content of a file, if it is what lightseg writes."""
    content: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
    recipe = content.get("lightseg")
    if not isinstance(recipe, dict):
        raise UserError(f"{file}: not a checkpoint of lightseg: it carries no recipe")
    version = recipe.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        shown_version = (
            version if type(version) is int and 0 <= version < MAX_VERSION else f"of type {type(version).__name__}"
        )
        raise UserError(
            f"{file}: has format {shown_version}, this lightseg reads {FORMAT_VERSION}; use the one that wrote it"
        )
    if lacking := sorted({"config", "classes", "in_channels", "resolved"} - recipe.keys()):
        raise UserError(f"{file}: not a checkpoint of lightseg: its recipe has no {lacking[0]}")
    recipe = plain(recipe, file)
    require_form(RECIPE, recipe, file, "lightseg")
    if "temperature" in content:
        require_form(TEMPERATURE, content["temperature"], file, "temperature")
    return {**content, "lightseg": recipe, "state_dict": plain_weights(content.get("state_dict"), file)}
