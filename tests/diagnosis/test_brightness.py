"""Brightness of the images beside the mean and deviation of the normalization."""

import numpy as np
import pytest

from lightseg.diagnosis.brightness import Brightness, brightness_findings, combine, is_far
from lightseg.diagnosis.samples import pixel_sums


def test_combine__weights_images_by_their_pixels():
    # three pixels of 0 and one of 1: the mean is 1/4, the variance 1/4 - 1/16
    images = [np.zeros((1, 3, 1), np.uint8), np.full((1, 1, 1), 255, np.uint8)]
    brightness = combine([pixel_sums(image) for image in images], ([0.5], [0.2]))
    assert brightness.mean == pytest.approx([0.25])
    assert brightness.std == pytest.approx([(3 / 16) ** 0.5])
    assert (brightness.used_mean, brightness.used_std) == ([0.5], [0.2])


def test_combine__without_images_or_of_different_channels():
    assert combine([], ([0.5], [0.2])) is None
    images = [np.zeros((2, 2, channels), np.uint8) for channels in (1, 3)]
    assert combine([pixel_sums(image) for image in images], ([0.5], [0.2])) is None


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [(0.79, 0.1, False), (0.81, 0.1, True), (0.5, 0.39, False), (0.5, 0.41, True), (0.5, 0.024, True)],
)
def test_is_far__beyond_three_deviations_or_a_ratio_of_four(mean, std, expected):
    assert is_far(Brightness([mean], [std], [0.5], [0.1])) is expected


def test_brightness_findings__have_the_lines_for_the_recipe():
    (finding,) = brightness_findings(Brightness([0.00123456], [0.01], [0.5], [0.25]))
    assert "mean: [0.00123]\n  std: [0.01]" in finding.mend
    assert brightness_findings(None) == brightness_findings(Brightness([0.5], [0.25], [0.5], [0.25])) == []
