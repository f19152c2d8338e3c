"""What the settings of both kinds of task share."""

import pytest

from lightseg.scaffold.settings import Machine, class_list, flip_and_brightness, floor_side, transform
from tests.scaffold.facts import CPU, GPU, survey


@pytest.mark.parametrize(
    ("side", "expected"), [(3, 8), (8, 8), (15.9, 8), (63, 56), (64, 64), (95, 64), (480.5, 480), (500, 480)]
)
def test_floor_side__multiples_of_8_below_64_and_of_32_above(side, expected):
    assert floor_side(side) == expected


def test_machine__in_words():
    assert (str(CPU), str(GPU)) == ("a CPU with 16 GiB of memory", "a GPU with 24 GiB of memory")
    assert (CPU.fit, GPU.fit) == ("small enough for a CPU", "a size for a GPU")


def test_machine__of_this_computer_has_memory():
    assert Machine.detect().memory > 2**28


def test_flip_and_brightness__measurements_keep_their_values():
    names = [[item["class_path"] for item in flip_and_brightness(survey(is_photo=photo))] for photo in (True, False)]
    assert names == [
        ["albumentations.HorizontalFlip", "albumentations.RandomBrightnessContrast"],
        ["albumentations.HorizontalFlip"],
    ]


def test_transform_and_class_list__as_a_recipe_names_them():
    assert transform("Resize", height=4) == {"class_path": "albumentations.Resize", "init_args": {"height": 4}}
    assert class_list(survey(), [1, 0]) == "class_1, class_0"
