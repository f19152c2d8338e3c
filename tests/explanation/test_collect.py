"""Statistics of a split, image by image."""

import math

import numpy as np
import pytest

from lightseg.errors import DataError
from lightseg.explanation.collect import collect
from lightseg.explanation.error_types import PARTS
from lightseg.labels import IGNORE
from tests.explanation.fabricate import Data, Oracle, discs

CLASSES = ("ground", "disc", "square")


def _collect(spoil, images, targets, kind="segmentation", **options):
    return collect(Oracle(kind, CLASSES, spoil, **options), Data(images, targets, CLASSES), "test")


def test_collect__error_types_and_sizes_add_up():
    images, masks = discs(6)
    for mask in masks:
        mask[:3] = IGNORE
    observations = _collect(lambda truth: truth.roll(1, -1), images, masks)
    truth = np.stack(masks)
    wrong = observations.cells.where(observations.cells["truth"] != observations.cells["prediction"])

    assert observations.confusion.sum() == (truth != IGNORE).sum()
    assert observations.wrong == observations.cells.sums(part=len(PARTS))[1:].sum() == wrong.sums(size=3).sum()
    assert wrong["part"].min() > 0
    # objects are counted by the half of their center
    assert observations.objects.sums(across=2).sum() == len(observations.objects)


def test_collect__void_split():
    images, masks = discs(2)
    with pytest.raises(DataError, match="every pixel of the test split is void"):
        _collect(lambda truth: truth, images, [np.full_like(mask, IGNORE) for mask in masks])


def test_collect__of_class_ids_by_hand():
    gray = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 200)]
    # a logit of log 6 beside two of 0 is a probability of 3/4 beside two of 1/8
    observations = _collect(
        lambda truth: truth.clamp(max=1), gray, [0, 2, IGNORE], kind="classification", logit=math.log(6)
    )
    assert observations.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert (observations.wrong, observations.unit, observations.objects) == (1, "images", None)
    assert observations.truth_probability[:2] == pytest.approx([0.75, 0.125])
    assert observations.entropy[0] == pytest.approx((0.75 * math.log(4 / 3) + 0.25 * math.log(8)) / math.log(3))
    assert np.isnan(observations.entropy[2])
    # the void image is in no cell, but its light counts for the thirds
    assert observations.cells["image"].tolist() == [0, 1]
    assert observations.cells["brightness"].tolist() == [0, 1]
    assert observations.names == ["<0>.png", "<1>.png", "<2>.png"]
    assert observations.uncalibrated is None
