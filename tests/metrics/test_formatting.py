"""Scores and p-values as text."""

import pytest

from lightseg.metrics.formatting import format_p_value, percent


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.9721, "97.2"), (-0.0451, "−4.5"), (-0.0001, "0.0"), (float("nan"), "absent")],
)
def test_percent(value, expected):
    assert percent(value) == expected


def test_format_p_value():
    values = (0.0001, 0.0049, 0.012, 1)
    assert [format_p_value(p) for p in values] == ["p < 0.001", "p = 0.0049", "p = 0.01", "p = 1.00"]
    # 0.05 is what a difference that is shown stays below
    assert [format_p_value(p) for p in (0.044, 0.046, 0.0499, 0.05, 0.053)] == [
        f"p = {text}" for text in ("0.04", "0.046", "0.0499", "0.05", "0.05")
    ]
