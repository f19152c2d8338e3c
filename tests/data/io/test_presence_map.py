from collections import Counter

import numpy as np
import pytest

from lightseg.data.io.label_map import UndeclaredError
from lightseg.data.io.presence_map import PresenceMap
from lightseg.errors import DataError
from lightseg.labels import IGNORE

VALUES = np.array([[0, 1], [255, 7]], np.uint8)


@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        ({}, [0, 1], [0, 1]),
        ({}, [0, 255], [0, 1]),
        ({"ignore": [255]}, [0, 1, 255], [0, 1, IGNORE]),
        ({"ignore": [1]}, [0, 1, 255], [0, IGNORE, 1]),
        ({"positive": [7, 9]}, [0, 7, 9], [0, 1, 1]),
        ({"positive": [7], "ignore": [-1]}, [0, 7, -1], [0, 1, IGNORE]),
    ],
    ids=str,
)
def test_presence__of_values(options, values, expected):
    mask = np.array([values], np.int16)
    assert PresenceMap(**options).to_train_ids("mask.png", mask).tolist() == [expected]


def test_presence__1_and_255_are_ambiguous_in_one_mask_unless_an_option_names_one():
    mask = np.array([[0, 1, 255]], np.uint8)
    with pytest.raises(DataError, match=r"mask\.png: holds 1 and 255"):
        PresenceMap().to_train_ids("mask.png", mask)
    assert PresenceMap([1, 255]).to_train_ids("mask.png", mask).tolist() == [[0, 1, 1]]
    assert PresenceMap(ignore=[3, 255]).to_train_ids("mask.png", mask).tolist() == [[0, 1, IGNORE]]


def test_presence__masks_of_either_are_compared_only_where_neither_is_named():
    counts = {value: np.bincount([0, 0, value], minlength=256) for value in (1, 255)}
    for presence_map, is_ambiguous in (
        (PresenceMap(), True),
        (PresenceMap([1, 255]), False),
        (PresenceMap([1]), False),
    ):
        values = presence_map.mask_values()
        values.add("a.png", counts[1], {})
        values.add("b.png", counts[255], {})
        if is_ambiguous:
            with pytest.raises(DataError, match=r"b\.png: holds 255 and no 1, and a\.png holds 1 and no 255"):
                values.require_one_meaning()
        else:
            values.require_one_meaning()


def test_undeclared__names_the_line_to_add():
    error = PresenceMap().undeclared_error("mask.png", Counter({0: 10, 1: 4, 7: 2}), " and 3 more files")
    assert isinstance(error, UndeclaredError)
    assert error.undeclared == {7}
    assert str(error).splitlines() == [
        "mask.png and 3 more files: value 7 (2 pixels) is neither 0, where the class is absent, nor 1 or 255, where it "
        "is present; add to data.init_args:",
        "  positive: [1, 7]",
        "or, if void:  ignore: [7]",
    ]


def test_undeclared__smooth_edges_want_a_threshold():
    error = PresenceMap().undeclared_error("mask.png", Counter(dict.fromkeys(range(0, 256, 5), 3)))
    assert error.is_interpolated
    assert "threshold: 128" in str(error)


def test_equal_maps_have_equal_keys():
    assert repr(PresenceMap()) == repr(PresenceMap([1, 255]))
    assert repr(PresenceMap(threshold=128)) != repr(PresenceMap(threshold=127))
