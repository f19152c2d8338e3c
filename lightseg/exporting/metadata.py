"""Metadata of exported files."""

import copy
from pathlib import Path
from typing import Any

import torch

from lightseg.data.io.image_values import image_values
from lightseg.files.atomic import sha256
from lightseg.files.version import __version__
from lightseg.metrics.absent_classes import absent
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.records import read_record
from lightseg.tasks import Task
from lightseg.tasks.multilabel import MultilabelTask


def collect_metadata(task: Task, folder: Path, file: Path, licence: str | None = None) -> dict[str, Any]:
    """Return the metadata of a trained task as plain data.

    Args:
        task: The task.
        folder: The run folder.
        file: The checkpoint that the task was loaded from.
        licence: Licence of the weights; None if not stated.
    """
    stride = getattr(task.net, "stride", 1)
    return {
        "kind": task.kind,
        "score_kind": task.score_kind,
        "classes": task.classes,
        "palette": task.recipe["palette"],
        "licence": licence,
        **_scores(folder),
        "data": {
            split: {**data, "sha256": data.get("sha256") or "unknown"}
            for split, data in _read_if_exists(folder / "data.json").items()
        },
        "input": _input(task, _read_if_exists(folder / "model.json").get("dtype") or "uint8"),
        "eval_transforms": _eval_transforms(task.recipe["config"]),
        "mean": task.resolved["mean"],
        "std": task.resolved["std"],
        "stride": stride if isinstance(stride, int) else 1,
        "temperature": task.temperature,
        **({"thresholds": task.thresholds_at(task.temperature)} if isinstance(task, MultilabelTask) else {}),
        "net": type(task.net).__name__,
        "parameters": sum(parameter.numel() for parameter in task.net.parameters()),
        "checkpoint": {"file": file.name, "sha256": sha256(file)},
        "recipe": {**task.recipe, "config": _strip_paths(task.recipe["config"]), "resolved": task.resolved},
        "lightseg": __version__,
        "torch": torch.__version__,
    }


def _input(task: Task, dtype: str) -> str:
    """Describe shape, type and range of the images that a net takes."""
    values = image_values(task.recipe)
    bands, channels = ", ".join(map(str, values.bands or ())), task.recipe["in_channels"]
    channels_as_stored = f"channels as in the file{' (RGB)' if channels == 3 else ''}"
    order = f"bands {bands} of the file, counted from 1" if bands else channels_as_stored
    text = f"image: {dtype} (N, {channels}, height, width), {order}"
    if values.ranges:
        pairs = " and ".join(f"{low:g} to {high:g}" for low, high in values.ranges)
        text += f", values of {pairs} scaled to 0..1"
    elif dtype != "uint8":
        text += ", values of 0..1: whole numbers divided by the greatest that the depth of the file allows"
    if values.nodata is None:
        return text
    fill = " and ".join(f"{value:.3g}" for value in values.fill or (0.0,))
    return f"{text}, {values.nodata:g} set to {fill}"


def _scores(folder: Path) -> dict[str, Any]:
    """Return the final scores of a run on test, or on val without a test split; empty if the run is not finished."""
    final = _read_if_exists(folder / "metrics.json")
    split = next((name for name in ("test", "val") if f"{name}/score" in final), None)
    if split is None:
        return {"split": None, "score": None, "scores": {}, "absent": [], "protocol": None, "images": None}
    scores = {name.partition("/")[2]: value for name, value in final.items() if name.startswith(f"{split}/")}
    evaluation = PerImageResults.read(folder, split)
    return {
        "split": split,
        "score": scores.pop("score"),
        "scores": scores,
        "absent": absent(evaluation.dense[:, 1].sum(0), evaluation.classes) if evaluation else [],
        "protocol": evaluation.protocol if evaluation else None,
        "images": len(evaluation.images) if evaluation else None,
    }


def _read_if_exists(path: Path) -> dict[str, Any]:
    return read_record(path) if path.is_file() else {}


def _eval_transforms(config: dict[str, Any]) -> list[str]:
    """Return the eval transforms, which are no part of a graph, as calls of albumentations."""
    transforms = ((config.get("data") or {}).get("init_args") or {}).get("eval_transforms") or []
    calls = [(spec["class_path"], (spec.get("init_args") or {}).items()) for spec in transforms]
    return [f"{name}({', '.join(f'{option}={value!r}' for option, value in options)})" for name, options in calls]


def _strip_paths(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config whose absolute paths are reduced to their last names.

    Of the options of the model, these are `init`, `teacher` and `encoder_weights`, which the trained weights replace.
    """
    config = copy.deepcopy({name: part if name == "model" else _reduce_paths(part) for name, part in config.items()})
    model = config["model"]["init_args"]
    if model.get("teacher"):
        model["teacher"] = "+".join(map(_reduce_paths, model["teacher"].split("+")))
    for options, name in ((model, "init"), (model["net"].get("init_args") or {}, "encoder_weights")):
        if name in options:
            options[name] = _reduce_paths(options[name])
    return config


def _reduce_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reduce_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_reduce_paths(part) for part in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
