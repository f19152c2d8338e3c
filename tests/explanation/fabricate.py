"""Task that predicts the truth except for planted failures, and its data."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.inference.inference_config import InferenceConfig
from lightseg.labels import IGNORE
from lightseg.tasks import (
    ClassificationTask,
    MultilabelClassificationTask,
    MultilabelSegmentationTask,
    SegmentationTask,
)


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


class LabelData(Data):
    """Data module of classes that may overlap: targets are `(H, W, C)` or `(C,)` of 0, 1 and void."""

    multilabel = True

    def __init__(self, images, targets, classes):
        super().__init__(images, targets, classes)
        self.images.multilabel = True


class Channels(nn.Module):
    """Net whose logits are the first channels of the image, 0 where they are 127.5; of a classifier, their means."""

    def __init__(self, classes, scale, pooled):
        super().__init__()
        self.classes, self.scale, self.pooled = classes, scale, pooled

    def forward(self, images):
        logits = self.scale * (2 * images[:, : self.classes] - 1)
        return logits.mean((2, 3)) if self.pooled else logits


def label_task(kind, classes, scale=8.0, **options):
    """Return a task that predicts a class where its channel of the image is bright."""
    task = MultilabelSegmentationTask if kind == "segmentation" else MultilabelClassificationTask
    net = Channels(len(classes), scale, kind == "classification")
    return task(net, list(classes), mean=[0.0] * 3, std=[1.0] * 3, **options).eval()


def label_image(prediction, size=None, low=0, high=255):
    """Return the image of which `label_task` predicts 0 and 1, `(C, H, W)`, or `(C,)` of an image of some size."""
    prediction = np.asarray(prediction)
    if size is not None:
        prediction = np.broadcast_to(prediction[:, None, None], (len(prediction), *size))
    image = np.full((*prediction.shape[1:], 3), 128, np.uint8)
    image[..., : len(prediction)] = np.where(prediction, high, low).transpose(1, 2, 0)
    return image


class Oracle:
    """Task that predicts the truth after `spoil`, which turns true class ids `(N, ...)` into predicted ones."""

    device = torch.device("cpu")
    multilabel = False
    temperature = 1.0
    protocol = InferenceConfig()

    def __init__(self, kind, classes, spoil=lambda truth: truth, logit=8.0):
        self.kind, self.classes, self.spoil, self.logit = kind, list(classes), spoil, logit
        self.score_kind = kind

    def logits_at_target(self, batch):
        truth = batch["target"]
        predicted = self.spoil(truth.where(truth != IGNORE, 0).clone())
        return self.logit * F.one_hot(predicted, len(self.classes)).movedim(-1, 1).float()

    def decide(self, logits):
        return SegmentationTask.decide(self, logits)

    def probabilities(self, logits, axis=1):
        return SegmentationTask.probabilities(self, logits, axis)

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
