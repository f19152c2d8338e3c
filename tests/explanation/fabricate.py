"""Task that predicts the truth except for planted failures, and its data."""

import numpy as np
import torch
from torch.nn import functional as F

from lightseg.data.data_module import ImageDataModule, ImageDataset
from lightseg.inference.inference_config import InferenceConfig
from lightseg.labels import IGNORE
from lightseg.tasks import ClassificationTask, SegmentationTask


class FixedImages(ImageDataset):
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
        return "fixed"


class Data(ImageDataModule):
    """Data module whose splits are the same images."""

    def __init__(self, images, targets, classes):
        super().__init__(num_workers=0)
        self.images, self._classes = FixedImages(images, targets), list(classes)

    @property
    def classes(self):
        return self._classes

    def make_dataset(self, split):
        return self.images


class Oracle:
    """Task that predicts the truth after `spoil`, which turns true class ids `(N, ...)` into predicted ones."""

    device = torch.device("cpu")
    temperature = 1.0
    protocol = InferenceConfig()

    def __init__(self, kind, classes, spoil=lambda truth: truth, logit=8.0):
        self.kind, self.classes, self.spoil, self.logit = kind, list(classes), spoil, logit

    def logits_at_target(self, batch):
        truth = batch["target"]
        predicted = self.spoil(truth.where(truth != IGNORE, 0).clone())
        return self.logit * F.one_hot(predicted, len(self.classes)).movedim(-1, 1).float()

    def scores(self, counts):
        task = SegmentationTask if self.kind == "segmentation" else ClassificationTask
        return task.scores(self, counts)


def discs(count=40, side=48, seed=0):
    """Return images of discs of class 1 and squares of class 2 on class 0, and their masks."""
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
