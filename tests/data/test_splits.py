"""Splits by fractions and by list files."""

import math
import re
from collections import Counter

import pytest

from lightseg.data.io.pairing import Pair
from lightseg.data.splits import fraction_split, groups_of
from lightseg.errors import ConfigError, DataError


def _pairs(root, count):
    return [Pair(f"{index:02}", root / f"{index:02}.png", root / f"{index:02}_mask.png") for index in range(count)]


def test_fraction_split__sizes_and_every_sample_once(tmp_path):
    pairs = _pairs(tmp_path, 20)
    splits = fraction_split(pairs, {"val": 0.2, "test": 0.1}, 0, [pair.name for pair in pairs])
    assert {split: len(selected) for split, selected in splits.items()} == {"train": 14, "val": 4, "test": 2}
    assert Counter(pair for selected in splits.values() for pair in selected) == Counter(pairs)


def test_fraction_split__depends_on_the_seed_and_not_on_the_order(tmp_path):
    pairs = _pairs(tmp_path, 20)
    names = [pair.name for pair in pairs]
    splits = fraction_split(pairs, {"val": 0.2}, 0, names)
    assert fraction_split(pairs[::-1], {"val": 0.2}, 0, names[::-1]) == splits
    assert fraction_split(pairs, {"val": 0.2}, 1, names) != splits
    # test is filled first
    tested = [fraction_split(pairs, {"val": val, "test": 0.1}, 0, names)["test"] for val in (0.1, 0.3)]
    assert tested[0] == tested[1]


def test_fraction_split__groups_stay_together(tmp_path):
    pairs = _pairs(tmp_path, 20)
    groups = [str(index // 4) for index in range(20)]
    splits = fraction_split(pairs, {"val": 0.2}, 0, groups)
    assert len(splits["val"]) == 4
    assert len({int(pair.name) // 4 for pair in splits["val"]}) == 1


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"val": -0.1}, "data.val_fraction: must each be 0 or more, with a sum below 1, got -0.1"),
        ({"val": math.nan}, "data.val_fraction: must each be 0 or more, with a sum below 1, got nan"),
        (
            {"val": 0.5, "test": 0.5},
            "data.val_fraction, data.test_fraction: must each be 0 or more, with a sum below 1, got 0.5, 0.5",
        ),
    ],
)
def test_fraction_split__impossible_fractions(tmp_path, fractions, message):
    pairs = _pairs(tmp_path, 4)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        fraction_split(pairs, fractions, 0, [pair.name for pair in pairs])


def test_fraction_split__fewer_groups_than_splits(tmp_path):
    with pytest.raises(DataError, match="1 group cannot fill 2 splits"):
        fraction_split(_pairs(tmp_path, 4), {"val": 0.5}, 0, ["a"] * 4)


def test_groups_of__the_first_capture_group_of_each_path():
    assert groups_of(["a/1.png", "a/2.png", "b/1.png"], "([^/]+)/") == ["a", "a", "b"]


def test_groups_of__an_optional_group_must_take_part():
    message = "data.group: '(p[0-9]+_)?' does not match 1.png (2 of 3 images)"
    with pytest.raises(DataError, match=re.escape(message)):
        groups_of(["1.png", "2.png", "p1_3.png"], "(p[0-9]+_)?")
