"""Weights as safetensors, which hold tensors and texts alone, with the recipe that rebuilds their task."""

import json
from pathlib import Path
from typing import Any

import torch

from lightseg.errors import UserError
from lightseg.exporting.facts import as_texts
from lightseg.file_names import WEIGHTS, WEIGHTS_CONFIG
from lightseg.recipe_schema import plain
from lightseg.records import read_mapping
from lightseg.tasks import Task


def write(task: Task, folder: Path, facts: dict[str, Any]) -> list[Path]:
    """Write `model.safetensors`, which is enough to load the task, and `config.json`, which tells people the same.

    Returns:
        The files.
    """
    from safetensors.torch import save

    # a copy of each, since tensors that share memory are refused
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in task.state_dict().items()
    }
    (folder / WEIGHTS).write_bytes(save(state, {"format": "pt", **as_texts(facts)}))
    (folder / WEIGHTS_CONFIG).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return [folder / WEIGHTS, folder / WEIGHTS_CONFIG]


def read(file: Path) -> dict[str, Any]:
    """The content of a weights file, in the form of a checkpoint.

    Raises:
        UserError: If it is damaged, or the `config.json` beside it is another's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            texts: dict[str, str] = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
        recipe = json.loads(texts.get("recipe", "null"))
        temperature = float(texts.get("temperature", 1))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file}: damaged or not a checkpoint ({str(error)[:80]})") from None
    if not isinstance(recipe, dict):
        return {}
    _require_same(file.with_name(WEIGHTS_CONFIG), recipe)
    return {"lightseg": recipe, "state_dict": state, "temperature": temperature}


def _require_same(config: Path, recipe: dict[str, Any]) -> None:
    """See that nobody takes a `config.json` that has been changed, or is another model's, for this one's."""
    if not config.is_file():
        return
    # as texts, in which what is no number is equal to itself
    beside, own = (json.dumps(part) for part in (read_mapping(config).get("recipe"), plain(recipe, config)))
    if beside != own:
        raise UserError(
            f"{config}: does not belong to {WEIGHTS} beside it, which has another recipe; bring back the one that was "
            "written with it, or remove it: the weights need none"
        )
