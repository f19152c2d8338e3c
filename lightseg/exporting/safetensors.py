"""Writing of weights and recipe as safetensors."""

import json
from pathlib import Path
from typing import Any

import torch

from lightseg.checkpoint.safetensors import as_texts
from lightseg.files.names import WEIGHTS, WEIGHTS_CONFIG
from lightseg.tasks import Task


def write(task: Task, folder: Path, metadata: dict[str, Any]) -> list[Path]:
    """Write `model.safetensors`, which is enough to load the task, and its metadata as a readable `config.json`.

    Args:
        task: The trained task.
        folder: Folder for the files.
        metadata: Metadata from `collect_metadata`.

    Returns:
        The files.
    """
    from safetensors.torch import save

    # copies, since safetensors refuses tensors that share memory
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in task.state_dict().items()
    }
    (folder / WEIGHTS).write_bytes(save(state, {"format": "pt", **as_texts(metadata)}))
    (folder / WEIGHTS_CONFIG).write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")
    return [folder / WEIGHTS, folder / WEIGHTS_CONFIG]
