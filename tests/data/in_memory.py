"""Datasets of samples in memory."""

import numpy as np

from lightseg.data import ImageDataset


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
