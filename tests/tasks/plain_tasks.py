"""Tasks whose answers are known, small data, and a trainer without output."""

import lightning as L
import torch
from torch import nn

from lightseg.data import Shapes
from lightseg.tasks import SegmentationTask

PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


class Brightest(nn.Module):
    """Says which channel is brightest: with PLAIN normalisation the image is its own logits."""

    def __init__(self):
        super().__init__()
        self.stride = 8
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        assert x.shape[2] % 8 == 0
        assert x.shape[3] % 8 == 0
        return x + self.nothing


def make_task(net=None, **options):
    return SegmentationTask(net or Brightest(), ["a", "b", "c"], **{**PLAIN, **options})


def make_trainer(**options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet, **options)


def make_shapes(**options):
    return Shapes(**{"image_size": 32, "train_size": 8, "val_size": 2, "batch_size": 4, "num_workers": 0, **options})
