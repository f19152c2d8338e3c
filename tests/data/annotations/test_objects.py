"""Outlines of any format, and runs of pixels."""

import numpy as np
import pytest

from lightseg.data.annotations.objects import (
    Bitmap,
    Polygons,
    ellipse,
    from_runs,
    overhang,
    rectangle,
    require_size,
    rotate,
    to_numbers,
    to_ring,
)
from lightseg.errors import DataError


def test_to_ring__takes_pairs_or_numbers():
    expected = [[1, 2], [3, 4], [5, 0]]
    assert to_ring([[1, 2], [3, 4], [5, 0]], (9, 9), "here").tolist() == expected
    assert to_ring([1, 2, 3, 4, 5, 0], (9, 9), "here").tolist() == expected


@pytest.mark.parametrize("shift", [(9, 0), (-9, 0), (0, 7), (0, -7)])
def test_to_ring__outside_of_the_image_is_refused_and_at_its_border_is_not(shift):
    corners = rectangle(0, 0, 9, 7)
    with pytest.raises(DataError, match="here: lies outside of its image: x .*, and the image is 9×7; correct its"):
        to_ring(corners + shift, (7, 9), "here")
    assert len(to_ring(corners + np.multiply(shift, 0.9), (7, 9), "here")) == 4


@pytest.mark.parametrize(
    "points",
    [[5, 5, 5, 5, 5, 5], [1, 2, 8, 2, 4, 2], [1, 1, 4, 4, 8, 8, 2, 2], rectangle(3, 3, 3, 6), ellipse(5, 5, 3, 0)],
)
def test_to_ring__without_an_area_is_refused(points):
    with pytest.raises(DataError, match="here: its points lie on one line, without an area; correct its outline"):
        to_ring(points, (9, 9), "here")


def test_to_ring__may_cross_itself():
    # halves of a bow tie, whose signed areas add up to 0
    assert len(to_ring([0, 0, 4, 4, 4, 0, 0, 4], (9, 9), "here")) == 4


COORDINATES = [[float("nan")], [float("inf")], [1e8], [10**400], [None], ["a"], [[1, 2], [3]], {}]


@pytest.mark.parametrize("values", [*COORDINATES, [[[0, 0], [9, 0], [9, 9]]] * 2])
def test_to_numbers__refuses_all_but_coordinates(values):
    with pytest.raises(DataError, match="here: its outline"):
        to_numbers(values, "here")


def test_to_numbers__refuses_points_in_space():
    with pytest.raises(DataError, match="here: its points have 3 numbers, and each needs two; correct its outline"):
        to_numbers([[1, 1, 0], [9, 1, 0], [9, 9, 0], [1, 9, 0]], "here")


def test_rotate__turns_clockwise_as_y_points_down():
    assert rotate(np.array([[3.0, 0.0]]), (1, 0), 90).round(9).tolist() == [[1, 2]]
    assert np.allclose(ellipse(5, 5, 3, 1, 90), rotate(ellipse(5, 5, 3, 1), (5, 5), 90))
    assert np.allclose(np.ptp(ellipse(5, 5, 3, 1, 90), axis=0), [2, 6])


def test_from_runs__along_columns_and_rows():
    assert from_runs([1, 2, 3], (2, 3), "F", "here").tolist() == [[False, True, False], [True, False, False]]
    assert from_runs([1, 2, 3], (2, 3), "C", "here").tolist() == [[False, True, True], [False, False, False]]


@pytest.mark.parametrize(
    "counts",
    [
        [1, 2],
        [7],
        [-1, 7],
        [1 << 62, 1 << 62, 1 << 62, 1 << 62],
        [10**30],
        [1e30],
        None,
        [[6]],
        "6",
        [0.5, 6],
        [1.5, 5.5],
    ],
)
def test_from_runs__refuses_what_is_not_the_size(counts):
    with pytest.raises(DataError, match="here: its runs"):
        from_runs(counts, (2, 3), "F", "here")


def test_require_size__says_whether_the_sides_are_swapped():
    require_size(None, (2, 3), "here")
    require_size((2, 3), (2, 3), "here")
    with pytest.raises(DataError, match=r"here: is annotated as 2×3, and the image is 3×2 .*; the image's EXIF"):
        require_size((3, 2), (2, 3), "here")
    with pytest.raises(DataError, match="the annotations are for another size of the image"):
        require_size((4, 6), (2, 3), "here")


@pytest.mark.parametrize(
    ("corners", "distance"),
    [((0, 0, 9, 7), 0), ((-2, 1, 3, 3), 2), ((1, -3, 3, 3), 3), ((1, 1, 13, 3), 4), ((1, 1, 3, 12), 5)],
)
def test_overhang__is_the_distance_of_the_farthest_corner(corners, distance):
    assert overhang(Polygons([rectangle(2, 2, 3, 3), rectangle(*corners)]), (7, 9)) == distance


def test_overhang__of_pixels_is_none():
    assert overhang(Bitmap(np.ones((20, 20), np.bool_)), (7, 9)) == 0
