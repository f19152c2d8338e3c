"""Masks whose values could be read in two ways: the error names the line that decides, nothing is guessed."""

import pytest
from PIL import Image

from tests.data.datasets.mask_folder_case import palette_image

BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


def test_palettes__in_another_order_are_no_ids(case):
    def write(path, mask, index):
        image = palette_image(mask, BLACK, RED) if index % 2 else palette_image(1 - mask, RED, BLACK)
        image.save(path)

    case.masks(".png", write)
    message = case.refused()
    assert "of its palette is [" in message
    assert "colors: {class: [" in message
    case.reads_as_plain(colors={"background": [0, 0, 0], "object": [255, 0, 0]})


def test_palettes__that_differ_are_ids_if_values_say_so(case):
    def write(path, mask, index):
        palette_image(mask, BLACK, (255, 9 * index, 0)).save(path)

    case.masks(".png", write)
    assert "or, if the indices are right" in case.refused()
    case.reads_as_plain(values={0: "background", 1: "object"})


def test_palettes__of_gray_values_that_are_ids_too(case):
    case.masks(".png", lambda path, mask, _: palette_image(mask, BLACK, (5, 5, 5)).save(path))
    message = case.refused(classes=[f"c{number}" for number in range(6)])
    assert "the gray values [0, 5] at the indices [0, 1]" in message
    # a gray value that is no class id is unambiguous
    case.reads_as_plain()


def test_palettes__of_black_and_white_are_ids(case):
    case.masks(".png", lambda path, mask, _: palette_image(mask, BLACK, WHITE).save(path))
    case.reads_as_plain()


@pytest.mark.parametrize("options", [{}, {"values": {0: "background", 1: "object"}}])
def test_255__beside_1_is_not_void_by_default(case, options):
    def write(path, mask, index):
        Image.fromarray(mask * (255 if index % 2 else 1)).save(path)

    case.masks(".png", write)
    message = case.refused(**options)
    assert "holds 0 and 255" in message
    assert "ignore: [255]" in message


def test_255__where_1_is_declared_and_nowhere(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * 255).save(path))
    assert "255" in case.refused(values={0: "background", 1: "object"})
    assert "no valid" not in case.refused(values={0: "background", 1: "object"})
