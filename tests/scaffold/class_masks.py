"""Folders with a mask for each class."""

import numpy as np

from lightseg.scaffold.class_mask_layout import find_class_masks
from lightseg.scaffold.listing import list_folder
from tests.data.fabricate import picture, save

FOLDERS = ["images/#.png", "masks/road/#.png", "masks/car/#.png"]

MASK = np.zeros((8, 8), np.uint8)
MASK[2:5, 3:7] = 1
TWO = {"classes": ["car", "road"]}


def find(root, files, value=1, **answers):
    """The layout of a folder with these files for the images 1 to 3, of which those of a class are its masks."""
    for index in "123":
        for file in files:
            is_mask = "car" in file or "road" in file or "gt" in file
            save(root / file.replace("#", index), MASK * np.uint8(value) if is_mask else picture(int(index), 8, 8))
    return find_class_masks(list_folder(root).descend(), answers)
