"""Error types of masks that are counted by hand; every wrong pixel has exactly one."""

import numpy as np
import pytest

from lightseg.explanation.error_types import (
    BOUNDARY,
    INTERIOR,
    INVENTED,
    MISSED,
    RIGHT,
    band_width,
    components,
    divide_errors,
)
from lightseg.labels import IGNORE


def count(parts, part):
    return int((parts.part == part).sum())


def test_divide_errors__boundary_and_interior():
    target = np.zeros((40, 40), int)
    target[:, 20:] = 1
    prediction = target.copy()
    prediction[:, 14:20] = 1
    parts = divide_errors(target, prediction)

    # 2 % of a diagonal of 57 pixels is one pixel: the boundary is column 19 on this side
    assert band_width(target.shape) == 1
    assert {part: count(parts, part) for part in range(5)} == {
        RIGHT: 40 * 34,
        BOUNDARY: 40,
        MISSED: 0,
        INVENTED: 0,
        INTERIOR: 40 * 5,
    }


def test_divide_errors__missed_and_invented_objects():
    target, prediction = np.zeros((40, 40), int), np.zeros((40, 40), int)
    target[5:15, 5:15] = 1
    # less than a tenth of it is right
    prediction[5:8, 5:8] = 1
    prediction[25:30, 25:33] = 2
    parts = divide_errors(target, prediction)

    assert (count(parts, MISSED), count(parts, INVENTED), count(parts, RIGHT)) == (91, 40, 1600 - 131)
    assert parts.missed.tolist() == [False, True]
    # the ground has 1500 pixels and the object 100
    assert parts.sizes.tolist() == [1, 0]
    assert (parts.size[10, 10], parts.size[0, 0]) == (0, 1)


def test_divide_errors__object_with_a_tenth_right_is_not_missed():
    target, prediction = np.zeros((40, 40), int), np.zeros((40, 40), int)
    target[5:15, 5:15] = 1
    prediction[5:6, 5:15] = 1

    assert not divide_errors(target, prediction).missed.any()


def test_divide_errors__seam_is_no_object():
    target, prediction = np.zeros((40, 40), int), np.zeros((40, 40), int)
    target[:, 20:] = 1
    prediction[:, 20:] = 1
    prediction[:, 19:21] = 2
    parts = divide_errors(target, prediction)

    assert (count(parts, INVENTED), count(parts, BOUNDARY)) == (0, 80)


def test_divide_errors__void_has_a_boundary_but_no_errors():
    target, prediction = np.zeros((40, 40), int), np.zeros((40, 40), int)
    target[:, :5] = IGNORE
    prediction[:20, 5] = 1
    prediction[:, :5] = 1
    parts = divide_errors(target, prediction)

    # with the prediction in the void it is one object of 20 valid pixels, all of them wrong and along a boundary
    assert (
        count(parts.__class__(parts.part[:, 5:], parts.size, parts.objects, parts.sizes, parts.missed), BOUNDARY) == 20
    )
    assert len(parts.missed) == 1


@pytest.mark.parametrize("seed", range(5))
def test_divide_errors__parts_are_all_wrong_pixels(seed):
    rng = np.random.default_rng(seed)
    target, prediction = rng.integers(0, 3, (2, 8, 8)).repeat(5, 1).repeat(5, 2)
    target[rng.random(target.shape) < 0.1] = IGNORE
    parts, valid = divide_errors(target, prediction), target != IGNORE

    assert ((parts.part != RIGHT) == (target != prediction))[valid].all()


def test_components__are_connected_at_corners():
    ids = np.full((4, 4), IGNORE)
    ids[0, 0] = ids[1, 1] = 3
    ids[3, 3] = 3
    regions = components(ids)

    assert regions.classes.tolist() == [3, 3]
    assert regions.count(ids == 3).tolist() == [2, 1]
    assert regions.centers.tolist() == [[0.5, 0.5], [3, 3]]
    assert (regions.labels == -1).sum() == 13


def test_divide_errors__regions_of_a_background_are_no_objects():
    target, prediction = np.zeros((40, 40), int), np.zeros((40, 40), int)
    target[5:25, 5:25] = 1
    # a hole in what is predicted is an error inside of the object, and no invented object
    prediction[5:25, 5:25], prediction[10:15, 10:15] = 1, 0
    parts = divide_errors(target, prediction, background=0)

    assert (count(parts, INTERIOR), count(parts, INVENTED), count(parts, RIGHT)) == (25, 0, 1600 - 25)
    assert (parts.objects.classes.tolist(), parts.sizes.tolist(), parts.missed.tolist()) == ([1], [0], [False])
    assert count(divide_errors(target, prediction), INVENTED) == 25
