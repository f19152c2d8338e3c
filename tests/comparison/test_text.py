"""Numbers and sentences in the text of a comparison."""

import dataclasses

import pytest

from lightseg.comparison.results import Estimate, GroupPair
from lightseg.comparison.text import interval, reading, verdicts
from tests.comparison.fabricate import skilled, wide


def test_interval__finer_where_it_is_narrow_and_turned_round():
    assert interval(Estimate(0.021, 0.008, 0.033, 0.01)) == "0.8 to 3.3"
    assert interval(Estimate(0.0005, 0.0001, 0.0009, 0.01)) == "0.01 to 0.09"
    assert interval(Estimate(-0.021, -0.033, -0.008, 0.01), -1) == "0.8 to 3.3"
    assert interval(Estimate(0.1, float("nan"), float("nan"), 1)) == "unknown"


@pytest.mark.parametrize(
    ("estimate", "has_seeds", "expected"),
    [
        (
            (0.02, -0.29, 0.33),
            False,
            "2.0 (95 % interval −29.0 to 33.0); 6 images: differences below 31.0 cannot be shown",
        ),
        # the upper end was clipped
        ((0.5, -0.1, 1.0), True, "50.0 (95 % interval −10.0 to 100.0); 6 images and 2 seeds: differences below 60.0 "),
        ((0.5, -0.6, 1.0), False, "50.0 (95 % interval −60.0 to 100.0); 6 images: too few to show any difference"),
        ((0.5, float("nan"), float("nan")), False, "50.0 (95 % interval unknown); 6 images: too few for an interval"),
        ((0.0, 0.0, 0.0), False, "0.0 (95 % interval 0.0 to 0.0)"),
    ],
)
def test_verdict__what_few_images_and_seeds_cannot_show(runs, estimate, has_seeds, expected):
    logged = skilled(0.8, 0.8, 0.8, 0.8, images=6)
    comparison = runs(*[(wide(4 * (1 + i % 2), seed=i), {"logged": pixels}) for i, pixels in enumerate(logged)])
    pair = GroupPair(0, 1, Estimate(*estimate, 0.7), (), has_seeds)
    (verdict,) = verdicts(dataclasses.replace(comparison, pairs=(pair,)))
    first, second = (group.label for group in comparison.groups)
    assert verdict.startswith(f"no difference shown between {first} and {second}: {expected}")


def test_reading__absent_classes_and_who_predicts_them(runs):
    logged = skilled(*[0.8] * 5)
    for index, pixels in enumerate(logged):
        # no road, which the last four predict, and no car
        pixels[:, :, 1:] = 0
        pixels[:, 2, 1] = index > 0
    widths = [(wide(4 + index), {"logged": pixels}) for index, pixels in enumerate(logged)]
    text = " ".join(reading(runs(*widths[:2])))
    rule = "A mean leaves out such a class where it was never predicted, and counts it as 0 where it was."
    assert f"Absent from the truth: road, predicted by width 5; car, never predicted. {rule}" in text
    assert "Absent from the truth: road, predicted by 4 groups; car, never predicted." in " ".join(
        reading(runs(*widths[2:]))
    )
