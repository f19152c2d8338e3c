"""Painter of shapes: only the outline tells the class."""

import numpy as np
import pytest

from lightseg.data.datasets.shapes import Shapes, ShapesClassification
from lightseg.data.datasets.shapes_painter import OUTLINES, paint, void_along_outlines
from lightseg.labels import IGNORE


def test_paint__no_linear_classifier_of_pixels_solves_it():
    module = Shapes(train_size=60, test_size=30, imbalance=1.0)
    features, labels = pixels(module, "train")
    one_hot = np.eye(6)[labels]
    # every class weighs the same, so that calling everything background is not the best answer
    weight = (1 / np.bincount(labels, minlength=6))[labels][:, None] ** 0.5
    solution = np.linalg.lstsq(features * weight, one_hot * weight, rcond=None)[0]
    features, labels = pixels(module, "test")
    assert mean_iou(labels, (features @ solution).argmax(1)) < 0.25


def test_paint__color_says_nothing_about_the_class():
    module = ShapesClassification(train_size=500)
    images = np.stack([module.dataset("train")[index][0] for index in range(500)])
    labels = np.array([module.dataset("train")[index][1] for index in range(500)])
    middle = images[:, 14:18, 14:18].mean((1, 2))
    means = np.stack([middle[labels == label].mean(0) for label in range(4)])
    # four standard errors of a mean of 100 draws; the ring is left out, its middle is ground
    assert (np.abs(means - means.mean(0)) < 4 * middle.std(0) / 10).all()


def pixels(module, split):
    """Return RGB, its squares and products, and a constant, of every pixel that is not void, and its class."""
    dataset = module.dataset(split)
    images, masks = zip(*(dataset[index] for index in range(len(dataset))), strict=True)
    labels = np.stack(masks).reshape(-1)
    rgb = np.stack(images).reshape(-1, 3)[labels != IGNORE] / 255
    products = (rgb[:, :, None] * rgb[:, None, :]).reshape(-1, 9)
    return np.concatenate([rgb, products, np.ones((len(rgb), 1))], 1), labels[labels != IGNORE]


def mean_iou(labels, predictions):
    confusion = np.bincount(labels.astype(int) * 6 + predictions, minlength=36).reshape(6, 6)
    hits = np.diag(confusion)
    return (hits / (confusion.sum(0) + confusion.sum(1) - hits)).mean()


@pytest.mark.parametrize("shape", OUTLINES)
def test_paint__one_object_covers_the_area_of_its_outline(shape):
    owner = paint(np.random.default_rng(0), 200, [shape], (0.2, 0.2), noise=0).owner

    # in pixels, of a radius of 40
    outlines = [40 * points for points in OUTLINES[shape]]
    outer, *holes = (
        abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 for x, y in (points.T for points in outlines)
    )
    length = sum(np.linalg.norm(points - np.roll(points, 1, 0), axis=1).sum() for points in outlines)
    # pixels that an outline runs through are covered, too
    assert 0 <= (owner == 1).sum() - (outer - sum(holes)) < length
    assert set(np.unique(owner)) == {0, 1}


def test_paint__later_objects_cover_earlier_ones_and_noise_changes_colors_alone():
    plain, noisy = (paint(np.random.default_rng(3), 64, ["circle"] * 30, (0.3, 0.4), noise) for noise in (0, 10))
    assert np.array_equal(plain.owner, noisy.owner)
    assert plain.owner.max() == 30
    difference = np.abs(plain.image.astype(int) - noisy.image)
    assert 0 < difference.max() <= 10


def test_void__both_sides_of_an_outline():
    owner = np.zeros((5, 8), np.uint8)
    owner[:, 4:] = 3
    expected = np.zeros((5, 8), bool)
    expected[:, 2:6] = True
    assert np.array_equal(void_along_outlines(owner, 2), expected)
    assert not void_along_outlines(owner, 0).any()
