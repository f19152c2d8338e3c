"""Recipe in which everything that can have a state has one, and the comparison of two of its runs."""

import hashlib
import json

import torch

STATEFUL_RECIPE = """
base: [configs/data/shapes.yaml]
model:
  class_path: SegmentationTask
  init_args:
    net: {class_path: dropout_net.DropoutNet}
    schedule: {class_path: OneCycle}
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-2}}
data:
  init_args:
    image_size: 32
    train_size: 22
    val_size: 5
    test_size: 5
    batch_size: 4
    num_workers: 0
    train_transforms:
      - class_path: albumentations.D4
      - {class_path: albumentations.RandomBrightnessContrast, init_args: {p: 0.5}}
trainer:
  accelerator: cpu
  max_epochs: 4
  log_every_n_steps: 1
  callbacks:
    - {class_path: lightseg.callbacks.EMA, init_args: {decay: 0.9}}
    - {class_path: crash.Crash}
save_every_n_steps: 2
"""

DROPOUT_NET = """
from torch import nn


class DropoutNet(nn.Sequential):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(
            nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.3),
            nn.Conv2d(8, num_classes, 3, padding=1),
        )
"""


def hash_training_state(folder, name="last.ckpt"):
    """Hash every tensor of a checkpoint, the optimizer's included."""
    content, digest = torch.load(folder / "checkpoints" / name, weights_only=True), hashlib.sha256()

    def add(value):
        if isinstance(value, torch.Tensor):
            digest.update(value.numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                digest.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for part in value:
                add(part)

    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        add(content.get(part))
    return digest.hexdigest()


def read_logged_values(folder):
    """Return the rows of the log without the throughput."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "train/images_per_s"} for line in lines]


def assert_same_run(folder, reference):
    """Assert that two runs logged, saved and scored the same, bit by bit."""
    assert read_logged_values(folder) == read_logged_values(reference)
    assert hash_training_state(folder) == hash_training_state(reference)
    assert hash_training_state(folder, "best.ckpt") == hash_training_state(reference, "best.ckpt")
    final, expected = (json.loads((run / "metrics.json").read_text()) for run in (folder, reference))
    assert {**final, "train/seconds": 0} == {**expected, "train/seconds": 0}
