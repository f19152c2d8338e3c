"""Folders with a mask for each class: names of images and classes, and the values where a class is present."""

import numpy as np
import pytest
import tifffile

from lightseg.errors import DataError
from lightseg.scaffold.class_mask_layout import find_class_channels, find_class_masks
from lightseg.scaffold.listing import list_folder
from tests.data.fabricate import picture, save

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


FOLDERS = ["images/#.png", "masks/road/#.png", "masks/car/#.png"]


@pytest.mark.parametrize(("value", "options"), [(255, {}), (7, {"positive": [7]})])
def test_find__values(tmp_path, value, options):
    assert find(tmp_path, FOLDERS, value).options == TWO | options


def test_find__ids_and_void_that_differ_by_class(tmp_path):
    find(tmp_path, FOLDERS)
    void = MASK * np.uint8(2)
    void[0] = 255
    for index in "123":
        save(tmp_path / f"masks/road/{index}.png", void)
    layout = find_class_masks(list_folder(tmp_path), {})
    assert layout.options == TWO | {"positive": [1, 2], "ignore": [255]}


def test_find__1_in_some_masks_and_255_in_others_is_asked_for(tmp_path):
    find(tmp_path, FOLDERS)
    save(tmp_path / "masks/car/2.png", MASK * np.uint8(255))
    with pytest.raises(
        DataError, match=r"some masks of car hold 1 and others 255; .* add --data.positive \"\[1, 255\]"
    ):
        find_class_masks(list_folder(tmp_path), {})
    options = {"positive": [1, 255]}
    assert find_class_masks(list_folder(tmp_path), options).options == TWO


def test_find__smooth_edges(tmp_path):
    white = np.full((64, 64), 255, np.uint8)
    white[:, :32] = 0
    find(tmp_path, FOLDERS)
    for index in "123":
        for name in ("road", "car"):
            (tmp_path / f"masks/{name}/{index}.png").unlink()
            save(tmp_path / f"masks/{name}/{index}.jpg", white)
    layout = find_class_masks(list_folder(tmp_path), {})
    assert layout.options == TWO | {"threshold": 128}
    assert layout.reasons["threshold"].startswith("the masks have smooth edges")


@pytest.mark.parametrize("value", [[[1, 2]], [[3, 4]]])
def test_find__masks_of_several_values_are_not_of_one_class(tmp_path, value):
    find(tmp_path, FOLDERS)
    for index in "123":
        save(tmp_path / f"masks/car/{index}.png", np.tile(np.array(value, np.uint8), (8, 4)))
    assert find_class_masks(list_folder(tmp_path), {}) is None


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


def test_find__colors_are_asked_for(tmp_path):
    find(tmp_path, FOLDERS)
    red = np.stack([MASK * np.uint8(255), MASK * np.uint8(0), MASK * np.uint8(0)], -1)
    for index in "123":
        for name in ("road", "car"):
            save(tmp_path / f"masks/{name}/{index}.png", red)
    with pytest.raises(DataError, match=r"car/1.png: a mask of car alone, in colors; .* --data.mask_channel 0$"):
        find_class_masks(list_folder(tmp_path), {})
    assert find_class_masks(list_folder(tmp_path), {"mask_channel": 0}).options == TWO


def test_find__photos_beside_those_of_images_are_no_masks(tmp_path):
    assert find(tmp_path, ["images/#.png", "small/#.png", "large/#.png"]) is None
