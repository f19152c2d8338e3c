"""Advice on masks with undeclared values and colors."""

from collections import Counter

import pytest

from lightseg.data.io.label_advice import Declared, advise, looks_interpolated
from lightseg.labels import IGNORE

TWO = Declared(["sky", "road"], {0: 0, 1: 1, 255: IGNORE}, {})


def test_advise__an_undeclared_value_has_its_line():
    message = advise("a.png", Counter({0: 5, 7: 1}), TWO)
    assert message.startswith("a.png: value 7 (1 pixel) is not declared")
    assert "values: {0: sky, 1: road, 7: CLASS}" in message
    assert "ignore: [255, 7]" in message


def test_advise__ids_counted_from_one():
    message = advise("a.png", Counter({1: 5, 2: 3}), TWO)
    assert "values run from 1 to 2" in message
    assert "values: {1: sky, 2: road}" in message


def test_advise__undeclared_colors():
    red, blue = (255, 0, 0), (0, 0, 255)
    message = advise("a.png", Counter({red: 1, blue: 4}), TWO)
    assert "colors: {CLASS: [0, 0, 255], CLASS: [255, 0, 0]}" in message
    declared = Declared(["sky", "road"], {}, {red: 0})
    message = advise("a.png", Counter({red: 1, blue: 4}), declared)
    assert "color [0, 0, 255] (4 pixels) is not declared" in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # scattered values between two classes, as a resize makes them
        (range(0, 250, 10), True),
        # forgotten classes continue the count
        (range(20), False),
        (range(0, 70, 10), False),
    ],
)
def test_looks_interpolated(values, expected):
    assert looks_interpolated(Counter(dict.fromkeys(values, 1)), TWO) is expected
