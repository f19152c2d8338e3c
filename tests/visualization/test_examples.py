import numpy as np
import pytest
from PIL import Image

from lightseg.data.io.images import visible
from lightseg.errors import UserError
from lightseg.files.evenly_spaced import spread
from lightseg.metrics.per_image import PerImageResults
from lightseg.visualization.examples import (
    Example,
    describe_labels,
    image_scores,
    read_examples,
    read_palette,
    worst,
    write_examples,
)

PALETTE = [(0, 0, 0), (10, 20, 30)]


def _evaluation(kind, rows, images, classes=("a", "b")):
    names = [f"image-{index}" for index in range(images)]
    rows = np.array(rows, np.int64).reshape(-1, 5)
    return PerImageResults(kind, "test", "data", "protocol", classes, names, np.arange(images), rows)


def test_examples__come_back_as_they_were_written(tmp_path):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    truth, prediction = np.full((4, 4), 255, np.int64), np.eye(4, dtype=np.int64)
    write_examples(tmp_path / "worst", [Example("one", image, truth, prediction)], ["a", "b"], PALETTE)
    (example,), classes = read_examples(tmp_path / "worst")
    assert (example.name, classes) == ("one", ["a", "b"])
    for actual, expected in ((example.image, image), (example.target, truth), (example.prediction, prediction)):
        np.testing.assert_array_equal(actual, expected)
    with Image.open(tmp_path / "worst/00_prediction.png") as mask:
        assert (mask.mode, mask.getpalette()[3:6]) == ("P", [10, 20, 30])
    assert read_palette(tmp_path / "worst", 2) == PALETTE


def test_examples__classes_of_whole_images(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    write_examples(tmp_path / "e", [Example("one", image, np.array(1), np.array(0))], ["a", "b"], PALETTE)
    (example,), _ = read_examples(tmp_path / "e")
    assert (int(example.target), int(example.prediction), example.target.ndim) == (1, 0, 0)


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("shape", [(), (6, 4)], ids=["labels", "masks"])
def test_examples__of_classes_that_overlap(tmp_path, classes, shape):
    image, random = np.zeros((6, 4, 3), np.uint8), np.random.default_rng(0)
    truth, prediction = random.choice([0, 1, 255], (classes, *shape)), random.integers(2, size=(classes, *shape))
    write_examples(tmp_path / "e", [Example("one", image, truth, prediction)], ["a", "b"][:classes], PALETTE)
    (example,), _ = read_examples(tmp_path / "e")
    for actual, expected in ((example.target, truth), (example.prediction, prediction)):
        np.testing.assert_array_equal(actual, expected)


def test_describe_labels__names_those_that_are_there():
    assert describe_labels(np.array(1), ["a", "b"]) == "b"
    assert describe_labels(np.array([1, 255, 1]), ["a", "b", "c"]) == "a, c"
    assert describe_labels(np.array([0]), ["a"]) == "none"


def test_examples__a_picture_that_links_to_a_local_one(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    write_examples(tmp_path / "e", [Example("one", image, np.array(1), np.array(0))], ["a", "b"], PALETTE)
    (tmp_path / "e/00_image.png").rename(tmp_path / "secret.png")
    (tmp_path / "e/00_image.png").symlink_to("../secret.png")
    with pytest.raises(UserError, match="00_image.png: is a link that leads out of its folder"):
        read_examples(tmp_path / "e")


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"classes": 5, "examples": []}'])
def test_examples__a_list_that_is_damaged(tmp_path, text):
    (tmp_path / "examples.json").write_text(text)
    with pytest.raises(UserError, match="examples.json: is damaged"):
        read_examples(tmp_path)


def test_examples__are_shrunk_and_masks_keep_their_values(tmp_path):
    mask = np.tile(np.array([0, 255], np.int64), (300, 1024))
    write_examples(tmp_path / "e", [Example("one", np.zeros((300, 2048, 3), np.uint8), mask, mask)], ["a"], PALETTE)
    (example,), _ = read_examples(tmp_path / "e")
    assert example.image.shape == (75, 512, 3)
    assert example.target.shape == (75, 512)
    assert set(np.unique(example.target)) <= {0, 255}


def test_examples__a_folder_that_is_there_is_replaced(tmp_path):
    first, second = (Example(name, np.zeros((2, 2, 3), np.uint8), np.array(0), np.array(0)) for name in ("one", "two"))
    write_examples(tmp_path / "e", [first, second], ["a"], PALETTE)
    write_examples(tmp_path / "e", [second], ["a"], PALETTE)
    assert [example.name for example in read_examples(tmp_path / "e")[0]] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    assert not list((tmp_path / "e").glob("01_*"))


def test_examples__none_where_there_is_no_folder(tmp_path):
    assert read_examples(tmp_path / "e") == ([], [])


def test_image_scores__iou_of_each_class_in_each_image():
    # image, class, right, true, predicted
    evaluation = _evaluation("segmentation", [[0, 0, 2, 4, 2], [0, 1, 1, 1, 3], [2, 1, 0, 0, 5]], images=3)
    expected = [[2 / 4, 1 / 3], [np.nan, np.nan], [np.nan, 0]]
    np.testing.assert_allclose(image_scores(evaluation), expected)


def test_image_scores__of_classification_only_the_true_class():
    evaluation = _evaluation("classification", [[0, 0, 1, 1, 1], [1, 0, 0, 0, 1], [1, 1, 0, 1, 0]], images=2)
    np.testing.assert_array_equal(image_scores(evaluation), [[1, np.nan], [np.nan, 0]])


def test_worst__lowest_first_and_none_without_a_valid_pixel():
    evaluation = _evaluation("segmentation", [[0, 0, 4, 4, 4], [1, 0, 1, 4, 4], [3, 0, 2, 4, 4]], images=4)
    assert worst(evaluation) == [1, 3, 0]


def test_worst__is_bounded():
    assert len(worst(_evaluation("segmentation", [[i, 0, 1, 1, 1] for i in range(40)], images=40))) == 16


def test_spread__same_few_over_all():
    assert spread(4, 10) == [0, 3, 6, 9]
    assert spread(4, 2) == [0, 1]


@pytest.mark.parametrize(("shape", "expected"), [((2, 2, 1), 3), ((2, 2, 6), 3), ((2, 2, 3), 3)])
def test_visible__any_image_has_three_channels_of_bytes(shape, expected):
    image = visible(np.linspace(-3, 3, int(np.prod(shape)), dtype=np.float32).reshape(shape))
    assert (image.shape[2], image.dtype, int(image.min())) == (expected, np.uint8, 0)
    assert image.max() > 100
