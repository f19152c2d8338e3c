"""Values where a class is present in its mask."""

import numpy as np
import pytest

from lightseg.errors import DataError
from lightseg.scaffold.class_mask_layout import find_class_masks
from lightseg.scaffold.listing import list_folder
from tests.data.fabricate import save
from tests.scaffold.class_masks import FOLDERS, MASK, TWO, find


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


def test_find__colors_are_asked_for(tmp_path):
    find(tmp_path, FOLDERS)
    red = np.stack([MASK * np.uint8(255), MASK * np.uint8(0), MASK * np.uint8(0)], -1)
    for index in "123":
        for name in ("road", "car"):
            save(tmp_path / f"masks/{name}/{index}.png", red)
    with pytest.raises(DataError, match=r"car/1.png: a mask of car alone, in colors; .* --data.mask_channel 0$"):
        find_class_masks(list_folder(tmp_path), {})
    assert find_class_masks(list_folder(tmp_path), {"mask_channel": 0}).options == TWO
