"""Slices by place and by terciles."""

import numpy as np

from lightseg.explanation.slices import places, thirds


def test_places__halves_and_center():
    rows, columns = np.array([0.5, 2.0, 3.5]), np.array([0.5, 4.0, 7.5])
    levels = places(rows, columns, (4, 8))
    assert levels["down"].tolist() == [0, 1, 1]
    assert levels["across"].tolist() == [0, 1, 1]
    assert levels["middle"].tolist() == [1, 0, 1]


def test_places__center_has_half_of_the_area():
    rows, columns = np.mgrid[:100, :100] + 0.5
    outside = places(rows.ravel(), columns.ravel(), (100, 100))["middle"]
    # the nearest whole pixels: 70 x 70
    assert (outside == 0).sum() == 70 * 70


def test_thirds__equal_values_are_together():
    assert thirds(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(thirds(np.ones(5)).tolist())) == 1
