"""Masks whose values could be read in two ways: the error names the line that decides, nothing is guessed."""

import shutil

import pytest
from PIL import Image

from lightseg.doctor import main as doctor
from lightseg.evaluate import main as evaluate
from tests.data import fabricate
from tests.data.datasets.mask_folder_case import palette_image, sample

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
    assert "holds 255 and no 1" in message
    assert "ignore: [255]" in message


def test_255__where_1_is_declared_and_nowhere(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * 255).save(path))
    assert "255" in case.refused(values={0: "background", 1: "object"})
    assert "no valid" not in case.refused(values={0: "background", 1: "object"})


def write_splits(root, palettes):
    """Write four samples of each split, whose masks are 0 and 1 of the palettes, or of gray values."""
    for split, colors in palettes.items():
        for index in range(4):
            image, mask = sample(index)
            fabricate.save(root / f"{split}/images/{split}{index}.png", image)
            path = root / f"{split}/masks/{split}{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            (palette_image(mask, *colors) if colors else Image.fromarray(mask)).save(path)


def test_palettes__in_another_order_in_another_split(case, call):
    shutil.rmtree(case.root)
    write_splits(case.root, {"train": (BLACK, RED), "val": (BLACK, RED), "test": (RED, BLACK)})
    message = case.refused()
    assert f"{case.root}/test/masks/test0.png: index 0 of its palette is [255, 0, 0], and [0, 0, 0] in" in message
    # what one command has read is checked by the next one, too
    assert case.refused() == message
    code, out, _ = call(doctor, case.recipe())
    assert code == 1
    assert "index 0 of its palette is [255, 0, 0], and [0, 0, 0] in" in " ".join(out.split())
    assert case.fit(values={0: "background", 1: "object"}).code == 0


def test_palettes__of_other_data_than_those_of_the_training(case, call, tmp_path):
    shutil.rmtree(case.root)
    write_splits(case.root, dict.fromkeys(("train", "val", "test"), (BLACK, RED)))
    trained = case.fit()
    assert trained.code == 0, trained.err
    write_splits(tmp_path / "swapped", dict.fromkeys(("train", "val", "test"), (RED, BLACK)))
    write_splits(tmp_path / "gray", dict.fromkeys(("train", "val", "test"), ()))
    code, _, err = call(evaluate, trained.folder, "--data.root", tmp_path / "swapped")
    assert (code, err.count("\n")) == (2, 1)
    assert "index 0 of its palette is [255, 0, 0], and [0, 0, 0] in the masks that" in err
    assert call(evaluate, trained.folder, "--data.root", tmp_path / "gray")[0] == 0


@pytest.mark.parametrize("first", [{"ignore": [255]}, {"values": {0: "background", 1: "object"}, "ignore": [255]}])
def test_255__is_checked_although_the_masks_are_cached(case, first):
    def write(path, mask, index):
        Image.fromarray(mask * (255 if index % 2 else 1)).save(path)

    case.masks(".png", write)
    assert case.fit(**first).code == 0
    assert "holds 255 and no 1" in case.refused()
    assert "holds 255 and no 1" in case.refused()


def test_palettes__are_checked_although_the_masks_are_cached(case):
    def write(path, mask, index):
        image = palette_image(mask, BLACK, RED) if index % 2 else palette_image(1 - mask, RED, BLACK)
        image.save(path)

    case.masks(".png", write)
    assert case.fit(values={0: "background", 1: "object"}).code == 0
    assert "of its palette is [" in case.refused()
