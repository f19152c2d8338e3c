"""Data whose loading process dies at one training image, and a recipe for it."""

DYING_WORKER_RECIPE = """
base: [configs/net/unet.yaml]
data: {class_path: dying_worker.DyingWorkerData, init_args: {batch_size: 2, num_workers: 2}}
"""


def dying_worker_source(index):
    """Return the source of the module `dying_worker`, whose processes die at the image of this index."""
    return SOURCE.replace("FATAL", str(index))


SOURCE = """
import os, signal
import numpy as np
from torch.utils.data import get_worker_info
from lightseg.data import ImageDataModule, ImageDataset

class DyingWorkerDataset(ImageDataset):
    decodes = True
    def __init__(self, split): self.split = split
    def __len__(self): return 12
    def __getitem__(self, index):
        if index == FATAL and self.split == "train" and get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)
        image = np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)
        return image, (image[..., 0] > 127).astype(np.uint8)
    def name(self, index): return f"{self.split}/{index}.png"
    def fingerprint(self): return f"dying-worker-{self.split}"

class DyingWorkerData(ImageDataModule):
    classes = ["dark", "bright"]
    def make_dataset(self, split): return DyingWorkerDataset(split)
"""
