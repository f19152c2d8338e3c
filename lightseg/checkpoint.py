"""Checkpoints that carry their recipe: a file is all it takes to get the model back."""

import copy
import io
import math
import os
import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightseg.arguments import model_file
from lightseg.errors import RunError, UserError
from lightseg.exporting import weights
from lightseg.file_names import PREVIOUS
from lightseg.files import read_json, replacing, sha256
from lightseg.tasks import Task

FORMAT_VERSION = 1


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


def load(path: str | Path) -> Task:
    """The trained task in eval mode; needs no network, but for a name on the Hub, and no other file.

    Args:
        path: A checkpoint or exported `.safetensors`; a run folder, whose best checkpoint is meant; a folder with a
            `model.safetensors`; or `hf://USER/REPO`, or `hf://USER/REPO@REVISION`, on the Hugging Face Hub.

    Raises:
        UserError: If it is no checkpoint of lightseg, is damaged, or holds anything but plain data and tensors.
    """
    file = model_file(path)
    checkpoint = read(file)
    task = build(checkpoint["lightseg"], file)
    _fill(task, checkpoint["state_dict"], file)
    task.temperature = checkpoint["temperature"] if "temperature" in checkpoint else _calibrated(file)
    return task.eval()


def _fill(task: Task, state: dict[str, Any], file: Path) -> None:
    own = task.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    reshaped = sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
    if missing or unknown or reshaped:
        raise UserError(
            f"{file}: does not fit the net of its recipe: {len(missing)} weights are missing {missing[:3]}, "
            f"{len(unknown)} are unknown {unknown[:3]} and {len(reshaped)} have another shape {reshaped[:3]}; "
            "has the net's code changed since?"
        )
    if any(values.dtype == torch.float64 for values in state.values()):
        # rounded to float32, the weights would not give the numbers of the run back
        task.double()
    task.load_state_dict(state)


def _calibrated(file: Path) -> float:
    """The temperature that was measured of just this checkpoint of a run; 1 if none was."""
    record = file.parent.parent / "calibration.json"
    found = read_json(record) if file.parent.name == "checkpoints" else {}
    if not found or found.get("sha256") != sha256(file):
        return 1.0
    temperature = found.get("temperature")
    if not isinstance(temperature, float | int) or not 0 < temperature < math.inf:
        raise UserError(f"{record}: is damaged (its temperature is {temperature}); bring it back, or remove it")
    return temperature


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
        _require_whole(file)
        if file.suffix == ".safetensors":
            checkpoint = weights.read(file)
        elif not zipfile.is_zipfile(file):
            # torch would take it for its old format, and fail in any way
            raise ValueError("it is empty" if not file.stat().st_size else "it is no archive")
        else:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file}: refused: it holds more than tensors and plain data{_foreign(error)}") from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
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
    if version != FORMAT_VERSION:
        raise UserError(
            f"{file}: has format {version}, this lightseg reads {FORMAT_VERSION}; use the one that wrote it"
        )
    if lacking := sorted({"config", "classes", "in_channels", "resolved"} - recipe.keys()):
        raise UserError(f"{file}: not a checkpoint of lightseg: its recipe has no {lacking[0]}")
    return content


def _foreign(error: pickle.UnpicklingError) -> str:
    """The class that has no place in a checkpoint, in parentheses, if torch says which."""
    found = re.search(r"Unsupported (?:global|class|operand).*?([\w.]+\.\w+)", str(error))
    return f" ({found[1]})" if found else ""


def _require_whole(file: Path) -> None:
    """Read all of the file against its checksums, which torch does not look at.

    Raises:
        OSError: If a part of it is not what was written.
    """
    if zipfile.is_zipfile(file):
        try:
            with zipfile.ZipFile(file) as archive:
                broken = archive.testzip()
        except zipfile.BadZipFile as error:
            raise OSError(str(error)) from None
        if broken:
            raise OSError(f"{broken} does not have its checksum")


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


def build(content: dict[str, Any], file: Path | str) -> Task:
    """The task of a recipe, with random weights and no download.

    Raises:
        UserError: If its classes cannot be imported any more.
    """
    # a copy, since the parser turns dicts into its own kind
    model = copy.deepcopy(content["config"]["model"])
    options = {**model["init_args"], **content["resolved"], "classes": content["classes"], "compile": False}
    net = options["net"]
    net_options = {**net.get("init_args", {}), "num_classes": len(content["classes"])}
    if content["in_channels"] != 3:
        net_options["in_channels"] = content["in_channels"]
    if "encoder_weights" in net_options:
        # the checkpoint's own weights take their place
        net_options["encoder_weights"] = None
    options["net"] = {**net, "init_args": net_options}
    parser = ArgumentParser(exit_on_error=False)
    # as on the command line, where a net of one's own may leave out its types
    parser.add_subclass_arguments(Task, "model", fail_untyped=False)
    try:
        parsed = parser.parse_object({"model": {**model, "init_args": options}})
    except Exception as error:
        raise UserError(
            f"{file} cannot be loaded again: {' '.join(str(error).split())}\n"
            f"Is {net['class_path']} importable from here, and are its constructor's arguments plain values?"
        ) from None
    task: Task = parser.instantiate(parsed).model
    task.recipe = {key: value for key, value in content.items() if key != "resolved"}
    return task
