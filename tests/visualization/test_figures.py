"""Colors of masks whose classes overlap, and curves of their precision."""

import numpy as np
from PIL import Image

from lightseg.labels import IGNORE, VOID
from lightseg.visualization.figures import colorize, errors, precision_recall

PALETTE = [(200, 0, 0), (0, 100, 0)]
# a pixel of each: none, one, both, void and none, void and one
MASKS = np.array([[[0, 1, 1, 0, 1]], [[0, 0, 1, IGNORE, IGNORE]]])


def test_colorize__overlapping_classes_are_mixed():
    assert colorize(MASKS, PALETTE).tolist() == [[[0, 0, 0], [200, 0, 0], [100, 50, 0], list(VOID), [200, 0, 0]]]


def test_errors__of_overlapping_classes_are_those_of_any():
    prediction = np.array([[[0, 1, 0, 0, 0]], [[0, 1, 1, 1, 1]]])
    wrong, right = errors(MASKS, prediction)[0, [1, 0]].tolist()
    pixels = errors(MASKS, prediction)[0].tolist()
    assert pixels == [right, wrong, wrong, right, wrong]
    assert errors(np.full_like(MASKS, IGNORE), prediction)[0].tolist() == [list(VOID)] * 5


def test_precision_recall__draws_every_class(tmp_path):
    histogram = np.random.default_rng(0).integers(0, 9, (3, 2, 1024))
    histogram[2, 1] = 0
    precision_recall(histogram, ["a", "b", "absent"], [*PALETTE, (0, 0, 9)], tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert np.asarray(picture).std() > 1
