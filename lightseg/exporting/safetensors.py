"""Weights as safetensors, which hold tensors and texts alone, with the recipe that rebuilds their task."""

import json
from pathlib import Path
from typing import Any

import torch

from lightseg.checkpoint.safetensors import as_texts
from lightseg.files.names import WEIGHTS, WEIGHTS_CONFIG
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
