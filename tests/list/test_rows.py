"""Rows of a list."""

import pytest

from lightseg.errors import UserError
from lightseg.list.rows import as_table, matching

ROWS = [{"name": name} for name in ("resnet18", "resnet34", "SegFormer", "mit_b0")]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["resnet18", "resnet34", "SegFormer", "mit_b0"]),
        ("NET", ["resnet18", "resnet34"]),
        ("segformer", ["SegFormer"]),
        ("resnet*", ["resnet18", "resnet34"]),
        ("*8", ["resnet18"]),
        ("[ms]*", ["SegFormer", "mit_b0"]),
        ("mit_b?", ["mit_b0"]),
    ],
)
def test_matching__a_part_or_a_pattern_in_any_case(pattern, names):
    assert [row["name"] for row in matching(ROWS, pattern, "encoders")] == names


def test_matching__no_name_suggests_the_nearest():
    with pytest.raises(UserError, match=r"^encoders: no name matches 'resnet81'; did you mean resnet18\?$"):
        matching(ROWS, "resnet81", "encoders")


def test_matching__a_pattern_that_fits_a_part_alone_is_told_so():
    with pytest.raises(UserError, match=r"^encoders: no name matches 'net3\*'; did you mean '\*net3\*'\?$"):
        matching(ROWS, "net3*", "encoders")


def test_matching__a_long_pattern_of_two_lines_is_one_short_line():
    with pytest.raises(UserError, match=r"^encoders: no name matches 'a b{78}'$"):
        matching(ROWS, "a\n" + 1000 * "b", "encoders")


def test_as_table__columns_that_hold_for_some_row():
    rows = [
        {"name": "a", "M": 1.23456, "strides": [2, 4], "at": None},
        {"name": "long name", "M": 123.4, "strides": [], "at": None},
        {"name": "b", "M": None, "strides": [8], "at": None},
    ]
    assert as_table(rows).splitlines() == [
        "name       M     strides",
        "a          1.23  2 4",
        "long name  123",
        "b                8",
    ]
