"""Numbers in the text of a comparison."""

import pytest

from lightseg.comparison.results import Estimate
from lightseg.comparison.text import chance, interval, percent


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.9721, "97.2"), (-0.0451, "−4.5"), (-0.0001, "0.0"), (float("nan"), "absent")],
)
def test_percent(value, expected):
    assert percent(value) == expected


def test_interval__finer_where_it_is_narrow_and_turned_round():
    assert interval(Estimate(0.021, 0.008, 0.033, 0.01)) == "0.8 to 3.3"
    assert interval(Estimate(0.0005, 0.0001, 0.0009, 0.01)) == "0.01 to 0.09"
    assert interval(Estimate(-0.021, -0.033, -0.008, 0.01), -1) == "0.8 to 3.3"
    assert interval(Estimate(0.1, float("nan"), float("nan"), 1)) == "unknown"


def test_chance():
    assert [chance(p) for p in (0.0001, 0.0049, 0.012, 1)] == ["p < 0.001", "p = 0.0049", "p = 0.01", "p = 1.00"]
    # 0.05 is what a difference that is shown stays below
    assert [chance(p) for p in (0.044, 0.046, 0.0499, 0.05, 0.053)] == [
        f"p = {text}" for text in ("0.04", "0.046", "0.0499", "0.05", "0.05")
    ]
