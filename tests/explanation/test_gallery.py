"""Images of a split and small pictures of them."""

import math

import numpy as np
import pytest

from lightseg.explanation.gallery import Gallery
from lightseg.labels import IGNORE
from tests.explanation.fabricate import Data, LabelData, Oracle, label_image, label_task

CLASSES = ("ground", "disc", "square")


@pytest.fixture
def gallery():
    mask = np.array([[0, 1, 2, IGNORE]] * 4, np.uint8)
    data = Data([np.full((4, 4, 3), 50, np.uint8)], [mask], CLASSES)
    return Gallery(Oracle("segmentation", CLASSES, lambda truth: truth.clamp(max=1), logit=math.log(6)), data, "test")


def test_predict__image_truth_and_probabilities(gallery):
    result = gallery.predict(0)

    assert result.name == "<0>.png"
    assert result.image.tolist() == np.full((4, 4, 3), 50).tolist()
    assert result.target[0].tolist() == [0, 1, 2, IGNORE]
    assert result.prediction[0].tolist() == [0, 1, 1, 0]
    # two columns each are predicted as ground and as disc, with 3/4 beside 1/8
    assert result.probabilities == pytest.approx([7 / 16, 7 / 16, 1 / 8])
    assert result.entropy == pytest.approx((0.75 * math.log(4 / 3) + 0.25 * math.log(8)) / math.log(3))
    assert gallery.predict(0) is result


def test_pictures__colors_of_classes_and_errors(gallery):
    result = gallery.predict(0)
    mask, wrong = gallery.mask(result.target, "truth"), gallery.errors(result.target, result.prediction)

    assert mask.pixels[0].tolist() == [*map(list, gallery.palette[:3]), [255, 255, 255]]
    assert (mask.caption, mask.photo) == ("truth", False)
    assert (wrong.pixels[0, 0] == wrong.pixels[0, 1]).all()
    assert not (wrong.pixels[0, 1] == wrong.pixels[0, 2]).all()


def test_pictures__long_sides_are_reduced_and_keep_their_shape(gallery):
    assert gallery.photo(np.zeros((640, 1280, 3), np.uint8)).pixels.shape == (160, 320, 3)
    assert gallery.mask(np.zeros((1, 3200), np.int64), "truth").pixels.shape == (1, 320, 3)
    assert gallery.photo(np.zeros((3, 320, 3), np.uint8)).pixels.shape == (3, 320, 3)


def test_heat__colors_show_the_values_over_a_gray_image(gallery):
    values = np.array([[0.0, 1.0, 2.0]])
    plain = gallery.heat(values, "uncertainty").pixels[0]
    over = gallery.heat(values, "uncertainty", np.full((1, 3, 3), 255, np.uint8)).pixels[0]

    assert plain[0].sum() < 20
    assert plain[1].tolist() == plain[2].tolist()
    assert over[0] == pytest.approx(0.65 * plain[0].astype(float) + 0.35 * 255, abs=1)


def test_predict__of_overlapping_classes():
    target = np.array([[[1, 0]], [[IGNORE, 1]]], np.uint8)
    task = label_task("segmentation", ("a", "b"), math.log(3))
    task.temperature = 2.0
    data = LabelData([label_image([[[1, 1]], [[1, 0]]])], [target.transpose(1, 2, 0)], task.classes)
    gallery = Gallery(task, data, "test")
    result = gallery.predict(0)

    assert (result.target.tolist(), result.prediction.tolist()) == (target.tolist(), [[[1, 1]], [[1, 0]]])
    # half of a logit of log 3
    probability = 3**0.5 / (1 + 3**0.5)
    assert result.probabilities == pytest.approx([probability, 0.5])
    picture = gallery.label_errors(result.target[0], result.prediction[0], "a")
    assert (picture.caption, picture.pixels.shape) == ("errors of a", (1, 2, 3))
    assert gallery.mask(result.target, "truth").pixels.shape == (1, 2, 3)
