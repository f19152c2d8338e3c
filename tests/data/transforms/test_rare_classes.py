import numpy as np
import pytest

from lightseg.data.transforms.rare_classes import classes_present, rare_classes
from lightseg.errors import ConfigError

NAMES = ["road", "tree", "sign", "ghost"]


def test_rare_classes__less_than_half_of_an_equal_share():
    # three classes occur: an equal share of 600 is 200, and half of it 100
    assert rare_classes(np.array([401, 100, 99, 0]), NAMES) == (2,)
    assert rare_classes(np.array([300, 300, 300, 300]), NAMES) == ()


def test_rare_classes__by_name():
    assert rare_classes(np.array([1, 1, 1, 1]), NAMES, ["sign", "road"]) == (0, 2)
    with pytest.raises(ConfigError, match="^data.rare_classes: there is no class 'tre'; did you mean tree\\?$"):
        rare_classes(np.array([1, 1, 1, 1]), NAMES, ["tre"])


def test_classes_present__of_a_mask_and_of_a_class_id():
    assert classes_present(np.array([[0, 3], [255, 3]], np.uint8), (1, 3, 2)) == [3]
    assert classes_present(2, (1, 2)) == [2]
    assert classes_present(0, (1, 2)) == []


def test_classes_present__of_a_mask_for_each_class_and_of_several_classes():
    mask = np.zeros((2, 2, 3), np.uint8)
    mask[0, 0] = [1, 255, 0]
    assert classes_present(mask, (0, 1, 2)) == [0]
    assert classes_present(np.array([0, 255, 1], np.uint8), (0, 1, 2)) == [2]
