"""Checkpoints of untrained nets, which are quick to write."""

from pathlib import Path

import torch

from lightseg.checkpoint import rebuild
from lightseg.data.palette import default_palette


def write_checkpoint(
    path: Path,
    task: str = "SegmentationTask",
    net: str = "lightseg.nets.UNet",
    eval_transforms: list[dict] | None = None,
    classes: int = 3,
    channels: int = 3,
    names: list[str] | None = None,
    image_values: dict | list | None = None,
    **net_options: object,
) -> Path:
    """Write a checkpoint of a random net; by default a U-Net of three classes."""
    if net == "lightseg.nets.UNet":
        net_options = {"width": 4, "depth": 2, **net_options}
    names = names or [f"class {number}" for number in range(classes)]
    config = {
        "seed_everything": 0,
        "model": {
            "class_path": f"lightseg.tasks.{task}",
            "init_args": {"net": {"class_path": net, "init_args": net_options}},
        },
        "data": {"class_path": "lightseg.data.Shapes", "init_args": {"eval_transforms": eval_transforms}},
    }
    content = rebuild.make_recipe(config, names, channels, default_palette(len(names)))
    if image_values is not None:
        content["image_values"] = image_values
    content["resolved"] = {"mean": [0.4] * channels, "std": [0.2] * channels}
    torch.manual_seed(0)
    model = rebuild.build_task(content, path, trust=True)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"lightseg": content, "state_dict": model.state_dict()}, path)
    return path
