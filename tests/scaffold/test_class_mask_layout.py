"""Folders with a mask for each class, and masks with a channel for each."""

import numpy as np
import pytest
import tifffile

from lightseg.scaffold.class_mask_layout import find_class_channels
from lightseg.scaffold.listing import list_folder
from tests.data.fabricate import picture, save
from tests.scaffold.class_masks import MASK, TWO, find


@pytest.mark.parametrize(
    ("files", "options"),
    [
        (["images/#.png", "masks/road/#.png", "masks/car/#.png"], {}),
        (["d/Imgs/#.jpg", "d/GT/road/#.png", "d/GT/car/#.png"], {"images": "Imgs", "masks": "GT"}),
        (["train/images/#.png", "train/masks/road/#.png", "train/masks/car/#.png"], {}),
        (["images/train/#.png", "masks/train/road/#.png", "masks/train/car/#.png"], {}),
        (["images/#.png", "masks/#_road.png", "masks/#_car.png"], {"mask_files": "{name}_{class}"}),
        (["images/#.png", "masks/#/road.png", "masks/#/car.png"], {"mask_files": "{name}/{class}"}),
        (["images/#.png", "road/#.png", "car/#.png"], {"masks": "."}),
        (["#.png", "road/#.png", "car/#.png"], {"images": ".", "masks": "."}),
        (["#.jpg", "#-road.png", "#-car.png"], {"images": ".", "masks": ".", "mask_files": "{name}-{class}"}),
        (
            ["#_image.png", "#_road_mask.png", "#_car_mask.png"],
            {"images": ".", "masks": ".", "image_suffix": "_image", "mask_files": "{name}_{class}_mask"},
        ),
        (
            ["#/image.png", "#/road.png", "#/car.png"],
            {"images": ".", "masks": ".", "image_suffix": "/image", "mask_files": "{name}/{class}"},
        ),
        (
            ["images/#_sat.png", "masks/road/#_gt.png", "masks/car/#_gt.png"],
            {"image_suffix": "_sat", "mask_files": "{class}/{name}_gt"},
        ),
    ],
    ids=str,
)
def test_find__names(tmp_path, files, options):
    assert find(tmp_path, files).options == TWO | options


@pytest.mark.parametrize(
    "files",
    [
        ["images/#.png", "masks/gt_#.png"],
        ["images/#.png", "masks/#_road.png"],
        ["images/#.png", "masks/road/#.png"],
        ["#.png", "#_gt.png"],
        ["car/#.png", "road/#.png"],
        # a mask with all classes, and pictures of it
        ["images/#.png", "gt/#_color.png", "gt/#_labelids.png"],
    ],
    ids=str,
)
def test_find__others(tmp_path, files):
    assert find(tmp_path, files) is None


def test_find__lists_and_names_of_classes(tmp_path):
    for split, names in {"train": "1\n2\n", "val": "3\n"}.items():
        (tmp_path / f"{split}.txt").write_text(names)
    (tmp_path / "classes.txt").write_text("road\ncar\n")
    layout = find(tmp_path, ["images/#.png", "masks/road/#.png", "masks/car/#.png"])
    assert layout.options == {"classes": ["road", "car"], "splits": {"train": "train.txt", "val": "val.txt"}}
    assert layout.reasons["classes"].startswith("names of classes.txt, in the order of the channels; ")


def channels(root, array, suffix=".tif"):
    for index in range(3):
        save(root / f"images/{index}.png", picture(index, 8, 8))
        path = root / f"masks/{index}{suffix}"
        path.parent.mkdir(exist_ok=True)
        if suffix == ".npy":
            np.save(path, array)
        else:
            tifffile.imwrite(path, array, photometric="minisblack" if array.shape[0] < 5 else None)
    return find_class_channels(list_folder(root), {})


@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_find_channels__a_page_for_each_class(tmp_path, number, suffix):
    pages = np.stack([np.roll(MASK, index, 1) for index in range(number)])
    layout = channels(tmp_path, pages, suffix)
    assert layout.options == {"classes": [f"class_{index}" for index in range(number)], "mask_files": "{name}"}
    assert layout.content == f"masks with {number} channels, one for each class"


@pytest.mark.parametrize("array", [MASK, np.stack([MASK] * 3, -1), np.stack([MASK * 200, MASK, MASK], -1)], ids=len)
def test_find_channels__ids_and_colors_are_none(tmp_path, array):
    assert channels(tmp_path, array) is None


def test_find__photos_beside_those_of_images_are_no_masks(tmp_path):
    assert find(tmp_path, ["images/#.png", "small/#.png", "large/#.png"]) is None
