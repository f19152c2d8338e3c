"""A task that knows the truth, so that its failures are the planted ones."""

import numpy as np
import torch
from torch.nn import functional as F

from lightseg.data.data_module import ImageDataModule, ImageDataset
from lightseg.inference.inference_config import InferenceConfig
from lightseg.labels import IGNORE
from lightseg.tasks import ClassificationTask, SegmentationTask


class Drawn(ImageDataset):
    """Images with their masks, or class ids."""

    def __init__(self, images, targets):
        self.images, self.targets = images, targets

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.targets[index]

    def name(self, index):
        return f"<{index}>.png"

    def fingerprint(self):
        return "drawn"


class Data(ImageDataModule):
    """One split of whatever is given."""

    def __init__(self, images, targets, classes):
        super().__init__(num_workers=0)
        self.drawn, self._classes = Drawn(images, targets), list(classes)

    @property
    def classes(self):
        return self._classes

    def make_dataset(self, split):
        return self.drawn


class Oracle:
    """Says the truth, as far as it is not spoilt: `spoil` turns `(N, ...)` class ids into what is said."""

    device = torch.device("cpu")
    temperature = 1.0
    protocol = InferenceConfig()

    def __init__(self, kind, classes, spoil=lambda truth: truth, sure=8.0):
        self.kind, self.classes, self.spoil, self.sure = kind, list(classes), spoil, sure

    def logits_at_target(self, batch):
        truth = batch["target"]
        said = self.spoil(truth.where(truth != IGNORE, 0).clone())
        return self.sure * F.one_hot(said, len(self.classes)).movedim(-1, 1).float()

    def scores(self, counts):
        task = SegmentationTask if self.kind == "segmentation" else ClassificationTask
        return task.scores(self, counts)


def discs(count=40, side=48, seed=0):
    """Images of discs of class 1 and squares of class 2 on class 0, with their masks."""
    rng, images, masks = np.random.default_rng(seed), [], []
    rows, columns = np.mgrid[:side, :side]
    for _ in range(count):
        mask = np.zeros((side, side), np.uint8)
        for label in (1, 2, 1, 2):
            row, column, radius = *rng.integers(6, side - 6, 2), rng.integers(3, 7)
            distance = np.maximum(abs(rows - row), abs(columns - column))
            if label == 1:
                distance = np.hypot(rows - row, columns - column)
            mask[distance < radius] = label
        image = np.stack([80 * (mask == label) + 60 for label in (0, 1, 2)], -1)
        images.append((image + rng.integers(0, 40, image.shape)).astype(np.uint8))
        masks.append(mask)
    return images, masks
