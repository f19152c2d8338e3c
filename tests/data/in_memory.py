"""Datasets of samples in memory."""

import numpy as np

from lightseg.data import ImageDataModule, ImageDataset
from lightseg.labels import IGNORE

MASKS = [np.array([[0, 0, 1], [IGNORE, 1, 1]], np.uint8), np.array([[0, IGNORE], [0, 0]], np.uint8)]


class InMemoryDataset(ImageDataset):
    """Dataset of given samples, named by their index."""

    def __init__(self, *samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def name(self, index):
        return str(index)

    def fingerprint(self):
        return "in-memory"


class MaskOnlyDataset(ImageDataset):
    """Dataset of masks with black images, which counts how often a sample is read."""

    def __init__(self, masks):
        self.masks, self.reads = masks, 0

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        self.reads += 1
        mask = self.masks[index]
        return np.zeros((*mask.shape, 3), np.uint8), mask

    def name(self, index):
        return str(index)

    def fingerprint(self):
        return "-".join(str(mask.tolist()) for mask in self.masks).replace(" ", "")


class MaskModule(ImageDataModule):
    """Data module of masks in memory, the same for all splits."""

    classes = ("a", "b", "c")

    def __init__(self, masks=MASKS, **options):
        super().__init__(batch_size=2, **options)
        self.masks = masks

    def make_dataset(self, split):
        return MaskOnlyDataset(self.masks)
