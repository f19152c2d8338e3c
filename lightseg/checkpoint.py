"""Checkpoints that carry their recipe: a file is all it takes to get the model back."""

import copy
import io
import os
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from lightseg.arguments import follow_imports, model_file
from lightseg.devices import limit_threads
from lightseg.errors import RunError, UserError
from lightseg.exporting import weights
from lightseg.file_names import PREVIOUS
from lightseg.files import replacing, sha256
from lightseg.recipe_schema import RECIPE, TEMPERATURE, plain, require_form
from lightseg.records import read_record
from lightseg.tasks import Task
from lightseg.text import printable_line
from lightseg.trust import announce, foreign_classes, known_class, require_known
from lightseg.weights_check import fill, plain_weights, require_net_fits, require_whole

FORMAT_VERSION, _VERSIONS = 1, 2**16

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


class CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, and keeps the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self._is_plain = False

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ARG002
    ) -> None:
        """Write a checkpoint to a file.

        Raises:
            RunError: If the disk is full or will not take it; the checkpoint that was there before still is. Or if it
                holds more than tensors and plain data, so that it could not be loaded.
        """
        path, content = Path(path), io.BytesIO()
        # in memory first: what torch does when a disk is full is to end the process
        torch.save(checkpoint, content)
        self._require_plain(content)
        rotate = path.name in PREVIOUS and path.exists()
        try:
            with replacing(path.with_name(f"next-{path.name}") if rotate else path) as temporary:
                temporary.write_bytes(content.getbuffer())
            if rotate:
                path.replace(path.with_name(PREVIOUS[path.name]))
                path.with_name(f"next-{path.name}").replace(path)
        except OSError as error:
            raise RunError(
                f"{path}: cannot be written: {os.strerror(error.errno or 0)}; the checkpoint before it is as it was.\n"
                f"Make room, then go on with: python -m lightseg.fit --resume {path.parent.parent}"
            ) from None

    def _require_plain(self, content: io.BytesIO) -> None:
        """See once that what is saved can be loaded, rather than when it is needed."""
        if self._is_plain:
            return
        content.seek(0)
        try:
            torch.load(content, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            found = _foreign(error)
            raise RunError(
                f"a checkpoint of this run could not be loaded: it holds more than tensors and plain data{found}. "
                "Let the state_dict of your callback, or of your net, hold numbers, texts, lists and tensors alone"
            ) from None
        self._is_plain = True


def load(path: str | Path, trust: bool = False) -> Task:
    """The trained task in eval mode; needs no network, but for a name on the Hub, and no other file.

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
    """The trained task of a checkpoint that this process has written itself, with the classes that it was given."""
    return _filled(read(file), file, trust=True)


def _filled(checkpoint: dict[str, Any], file: Path, trust: bool) -> Task:
    task = build(checkpoint["lightseg"], file, trust, checkpoint["state_dict"])
    fill(task, checkpoint["state_dict"], file)
    task.temperature = checkpoint["temperature"] if "temperature" in checkpoint else _calibrated(file)
    return task.eval()


def _require_known_transforms(data: dict[str, Any], file: Path) -> None:
    """See that what an evaluation does to an image first is known; the data module itself is not built here."""
    for index, each in enumerate((data.get("init_args") or {}).get("eval_transforms") or []):
        require_known(each, f"data.eval_transforms.{index}", file)


def _calibrated(file: Path) -> float:
    """The temperature that was measured of just this checkpoint of a run; 1 if none was."""
    record = file.parent.parent / "calibration.json"
    if file.parent.name != "checkpoints" or not record.is_file():
        return 1.0
    found = read_record(record)
    return float(found["temperature"]) if found["sha256"] == sha256(file) else 1.0


def read(file: Path) -> dict[str, Any]:
    """The content of a checkpoint; runs nothing of what it may hold.

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
            checkpoint = weights.read(file)
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
    """The content of a file, if it is what lightseg writes."""
    content: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
    recipe = content.get("lightseg")
    if not isinstance(recipe, dict):
        raise UserError(f"{file}: not a checkpoint of lightseg: it carries no recipe")
    version = recipe.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        stated = version if type(version) is int and 0 <= version < _VERSIONS else f"of type {type(version).__name__}"
        raise UserError(f"{file}: has format {stated}, this lightseg reads {FORMAT_VERSION}; use the one that wrote it")
    if lacking := sorted({"config", "classes", "in_channels", "resolved"} - recipe.keys()):
        raise UserError(f"{file}: not a checkpoint of lightseg: its recipe has no {lacking[0]}")
    recipe = plain(recipe, file)
    require_form(RECIPE, recipe, file, "lightseg")
    if "temperature" in content:
        require_form(TEMPERATURE, content["temperature"], file, "temperature")
    return {**content, "lightseg": recipe, "state_dict": plain_weights(content.get("state_dict"), file)}


def _foreign(error: pickle.UnpicklingError) -> str:
    """The class that has no place in a checkpoint, in parentheses, if torch says which."""
    found = re.search(r"Unsupported (?:global|class|operand).*?([\w.]+\.\w+)", str(error))
    return f" ({found[1]})" if found else ""


def recipe(
    config: dict[str, Any],
    classes: list[str],
    in_channels: int,
    palette: list[Any],
    image_values: Sequence[float | None] | None = None,
) -> dict[str, Any]:
    """What a checkpoint must carry so that it can be loaded alone, as plain data.

    Args:
        config: The resolved config.
        classes: Class names.
        in_channels: Channels of an image.
        palette: One RGB colour per class.
        image_values: The meaning of an image's values (`lightseg.data.images.ImageValues`), where files do not say it.
    """
    stated = {} if image_values is None else {"image_values": list(image_values)}
    return {
        **stated,
        "format_version": FORMAT_VERSION,
        "config": config,
        "classes": list(classes),
        "in_channels": in_channels,
        "palette": [list(color) for color in palette],
    }


def build(
    content: dict[str, Any], file: Path | str, trust: bool = False, state: Mapping[str, Tensor] | None = None
) -> Task:
    """The task of a recipe, with random weights and no download, and without its optimiser and schedule.

    Args:
        content: The recipe, with what its options have become.
        file: Where it is from, for messages.
        trust: Build other classes than lightseg's own, too.
        state: The weights that it is to have; nothing that they do not fit is given memory.

    Raises:
        UserError: If it names classes that are not trusted or cannot be imported any more, or the weights do not fit.
    """
    # a copy, since the parser turns dicts into its own kind
    model = copy.deepcopy(content["config"]["model"])
    options = {**model["init_args"], **content["resolved"], "classes": content["classes"], "compile": False}
    for name in ("optimizer", "schedule"):
        # of the training alone
        options.pop(name, None)
    net = options["net"]
    net_options = {**(net.get("init_args") or {}), "num_classes": len(content["classes"])}
    if content["in_channels"] != 3:
        net_options["in_channels"] = content["in_channels"]
    if "encoder_weights" in net_options:
        # the checkpoint's own weights take their place
        net_options["encoder_weights"] = None
    options["net"] = {**net, "init_args": net_options}
    model["init_args"] = options
    if not trust:
        require_known(options["net"], "net", file)
        require_known(model, "model", file)
        if state is not None:
            require_net_fits(known_class(net["class_path"]), net_options, state, file)
    parser = ArgumentParser(exit_on_error=False)
    # as on the command line, where a net of one's own may leave out its types
    parser.add_subclass_arguments(Task, "model", fail_untyped=False)
    try:
        parsed = parser.parse_object({"model": model})
    except Exception as error:
        raise UserError(
            f"{file} cannot be loaded again: {printable_line(str(error))}\n"
            f"Is {net['class_path']} importable from here, and are its constructor's arguments plain values?"
        ) from None
    try:
        task: Task = parser.instantiate(parsed).model
    except Exception as error:
        # what a class of one's own raises keeps its traceback
        if trust:
            raise
        raise UserError(f"{file} cannot be loaded again: {printable_line(str(error))[:300]}") from None
    task.recipe = {key: value for key, value in content.items() if key != "resolved"}
    return task
