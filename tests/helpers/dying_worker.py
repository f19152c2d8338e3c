"""Data of which a loading process dies at one training image, and a recipe for it."""

DEADLY_RECIPE = """
base: [configs/net/unet.yaml]
data: {class_path: deadly.Deadly, init_args: {batch_size: 2, num_workers: 2}}
"""


def deadly(index):
    """The source of the module `deadly`, whose processes die at the image of this number."""
    return SOURCE.replace("FATAL", str(index))


SOURCE = """
import os, signal
import numpy as np
from torch.utils.data import get_worker_info
from lightseg.data import ImageDataModule, ImageDataset

class Files(ImageDataset):
    decodes = True
    def __init__(self, split): self.split = split
    def __len__(self): return 12
    def __getitem__(self, index):
        if index == FATAL and self.split == "train" and get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)
        image = np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)
        return image, (image[..., 0] > 127).astype(np.uint8)
    def name(self, index): return f"{self.split}/{index}.png"
    def fingerprint(self): return f"deadly-{self.split}"

class Deadly(ImageDataModule):
    classes = ["dark", "bright"]
    def make_dataset(self, split): return Files(split)
"""
