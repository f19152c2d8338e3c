"""Classifier whose evidence is known: a bright patch."""

import numpy as np
import torch
from torch import nn

from lightseg.tasks import ClassificationTask

SIDE, PATCH = 48, 12


class Brightness(nn.Module):
    """Classifier by the brightness of the brightest window, within an optional mask."""

    def __init__(self, mask=None):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.features.weight, 1 / 3)
        self.mask = torch.ones(SIDE, SIDE) if mask is None else mask

    def forward(self, images):
        bright = self.features(images) * self.mask
        score = 40 * (nn.functional.avg_pool2d(bright, PATCH, PATCH).amax((1, 2, 3)) - 0.8)
        return torch.stack([-score, score], 1)


def build_task(net):
    task = ClassificationTask(net, ["no", "yes"], mean=[0.0] * 3, std=[1.0] * 3, channels_last=False)
    return task.eval()


def images(count=8):
    """Yield images with a bright patch on dark noise, `(1, 3, 48, 48)` uint8, and the region of the patch."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        image = rng.integers(0, 40, (3, SIDE, SIDE))
        row, column = PATCH * rng.integers(0, SIDE // PATCH, 2)
        region = np.s_[row : row + PATCH, column : column + PATCH]
        image[:, *region] = 250
        yield torch.from_numpy(image.astype(np.uint8))[None], region
