"""Outlines, and what is wrong with them."""

import numpy as np
import pytest

from lightseg.data.annotations.objects import (
    ellipse,
    from_runs,
    rectangle,
    require_inside,
    require_size,
    rotate,
    to_ring,
)
from lightseg.errors import DataError

SIZE = (20, 30)


def test_to_ring__points_nested_or_in_a_row():
    expected = [[0, 0], [10, 0], [10, 5]]
    assert to_ring([0, 0, 10, 0, 10, 5], SIZE, "x").tolist() == expected
    assert to_ring(expected, SIZE, "x").tolist() == expected


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([0, 0, 1], "^x: has 3 numbers, and each point needs two"),
        ([0, 0, 1, 1], "^x: has 2 points, and an area needs three"),
        (["a"], "^x: its outline is no list of numbers"),
        ([[0, 0], [1]], "^x: its outline is no list of numbers"),
        ([0, 0, float("nan"), 1, 2, 2], "^x: its outline holds nan, which is no coordinate"),
        ([0, 0, 1e9, 1, 2, 2], r"^x: its outline holds 1e\+09, which is no coordinate"),
        ([40, 0, 50, 0, 50, 5], "^x: lies outside of its image: x 40 to 50, y 0 to 5, and the image is 30×20"),
        ([0, -5, 5, -5, 5, 0], "^x: lies outside of its image"),
    ],
)
def test_to_ring__that_has_no_area_in_the_image(points, message):
    with pytest.raises(DataError, match=message):
        to_ring(points, SIZE, "x")


def test_rotate__clockwise_as_rows_go_down():
    ring = rectangle(0, 0, 4, 2)
    assert rotate(ring, (0, 0), 0) is ring
    assert np.allclose(rotate(ring, (0, 0), 90), [[0, 0], [0, 4], [-2, 4], [-2, 0]])


def test_ellipse__its_half_axes_turn():
    ring = ellipse(10, 5, 4, 2, degrees=90)
    assert np.allclose(ring.mean(0), [10, 5])
    assert np.allclose([ring.min(0), ring.max(0)], [[8, 1], [12, 9]])


@pytest.mark.parametrize(("order", "expected"), [("C", [[0, 1, 1], [0, 0, 0]]), ("F", [[0, 1, 0], [1, 0, 0]])])
def test_from_runs__along_rows_or_down_columns(order, expected):
    assert from_runs([1, 2, 3], (2, 3), order, "x").astype(int).tolist() == expected


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, 2], "^x: its runs add up to 3 pixels, and 3×2 has 6"),
        ([7, -1], "^x: its runs add up to 6 pixels"),
        ([2**62] * 4, r"^x: its runs add up to \d{20} pixels"),
        (["a"], "^x: its runs are no whole numbers"),
        ([[6]], "^x: its runs add up to 6 pixels"),
    ],
)
def test_from_runs__damaged(counts, message):
    with pytest.raises(DataError, match=message):
        from_runs(counts, (2, 3), "C", "x")


@pytest.mark.parametrize("box", [(-1, 0, (2, 2)), (0, 29, (2, 2)), (19, 0, (2, 2)), (0, 0, (0, 2))])
def test_require_inside__a_box_that_leaves_its_image(box):
    require_inside(18, 28, (2, 2), SIZE, "x")
    with pytest.raises(DataError, match="^x: its box, 2×[02] pixels at x .* leaves its image, which is 30×20"):
        require_inside(*box, SIZE, "x")


def test_require_size__another_size_or_a_turned_image():
    require_size(None, SIZE, "x")
    require_size(SIZE, SIZE, "x")
    with pytest.raises(DataError, match=r"^x: is annotated as 40×20, and the image is 30×20 \(width×height\); the"):
        require_size((20, 40), SIZE, "x")
    with pytest.raises(DataError, match="EXIF orientation may turn it"):
        require_size((30, 20), SIZE, "x")
