"""Checkpoints and exported weights that others have made, given to `lightseg.load` and to verbs."""

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from tests.fuzz.case import Case
from tests.fuzz.odd import CODE, damage, deep, odd, places, put
from tests.inference.models import write_checkpoint

NETS: dict[str, dict[str, str]] = {
    "UNet": {},
    "SmpNet": {"encoder": "mit_b0"},
    "Segmenter": {"encoder": "test_vit"},
    "TimmNet": {"encoder": "resnet10t"},
    "TorchvisionNet": {"encoder": "squeezenet1_1"},
}
"""The nets of the sound checkpoints."""

KWARGS: list[dict[str, Any]] = [
    *({"img_size": 65536}, {"window_sizes": [7, 7, 1000, 7]}, {"layers": [4096] * 4}, {"width": 10**400}),
    *(
        {"depth": 4096},
        {"decoder_channels": [4096] * 5},
        {"dropout": "x"},
        {"encoder_depth": -1},
        {"arch": 5},
        {"head": 5},
    ),
]
"""Options that others than these nets may have, or that are out of proportion."""


def prepare(base: Path) -> None:
    """A sound checkpoint of each net, and an image."""
    for name, options in NETS.items():
        task = "SegmentationTask" if name in ("UNet", "SmpNet", "Segmenter") else "ClassificationTask"
        write_checkpoint(base / f"{name}.ckpt", task, f"lightseg.nets.{name}", **options)
    Image.new("RGB", (40, 40), (9, 99, 200)).save(base / "image.png")


def make(random: Random, base: Path, folder: Path) -> Case:
    """A hostile one, and who is to load it."""
    content = torch.load(base / f"{random.choice(list(NETS))}.ckpt", weights_only=True)
    (folder / "planted.py").write_text("open('RAN', 'w')\nclass Net: pass\n")
    for _ in range(random.choice([1, 1, 2, 3])):
        _spoil(content, random)
    file = folder / random.choice(["model.ckpt", "model.ckpt", "model.safetensors"])
    _write(content, file, random)
    if random.random() < 0.15:
        file.write_bytes(damage(file.read_bytes(), random))
    verb = random.choice(["", "", "predict"])
    return Case(verb, [str(file)] if not verb else [str(file), str(base / "image.png"), "--out", "out"])


def _spoil(content: dict[str, Any], random: Random) -> None:
    way = random.randrange(5)
    if way == 0:
        name = random.choice(list(content["state_dict"])) if isinstance(content.get("state_dict"), dict) else None
        if name:
            content["state_dict"][name] = _tensor(random)
        return
    within = content.get("lightseg")
    everywhere = list(places(within)) if isinstance(within, dict) else []
    if way == 1 or not everywhere:
        content[random.choice(list(content))] = odd(random)
    else:
        values = [odd(random), odd(random), random.choice(CODE), deep(random.choice([50, 200]))]
        values.append("{class_path: os.system, init_args: {command: touch PWNED}}")
        net = ("config", "model", "init_args", "net", "init_args")
        if random.random() < 0.2 and net in everywhere:
            values, everywhere = [*KWARGS, *({"kwargs": each} for each in KWARGS)], [net]
        put(within, random.choice(everywhere), copy.deepcopy(random.choice(values)))


def _tensor(random: Random) -> Any:
    return random.choice(
        [
            torch.full((3,), torch.nan),
            torch.zeros(()),
            torch.zeros(1).expand(2**40),
            torch.zeros(3, dtype=torch.complex64),
            torch.empty(0),
            torch.zeros(3, device="meta"),
            None,
            5,
            [1, 2],
        ]
    )


def _write(content: Any, file: Path, random: Random) -> None:
    if file.suffix == ".ckpt":
        torch.save(content, file, _use_new_zipfile_serialization=random.random() > 0.1)
        return
    state = content.get("state_dict") if isinstance(content, dict) else None
    tensors = {
        name: value.contiguous()
        for name, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, torch.Tensor) and value.device.type == "cpu" and value.numel() < 10**6
    }
    try:
        recipe = json.dumps(content.get("lightseg"), default=str)
    except RecursionError:
        recipe = "[" * 5000
    save_file(tensors, file, {"recipe": recipe, "temperature": str(random.choice([1.0, 0, "x", "nan"]))})
