"""Exponential class profiles."""

import numpy as np
import pytest

from lightseg.data.datasets.long_tail import long_tail, long_tail_counts
from lightseg.errors import ConfigError


def test_long_tail__falls_by_one_factor_to_its_ratio():
    assert np.allclose(long_tail(3, 100), [1, 0.1, 0.01])
    assert long_tail(1, 100).tolist() == [1]
    assert long_tail(4, 1).tolist() == [1, 1, 1, 1]


def test_long_tail_counts__those_of_the_published_code():
    # CIFAR-10-LT with 5,000 images of the first class and a ratio of 100
    assert long_tail_counts(5000, 10, 100).tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    # the exact share, whatever the last bit of the power
    assert long_tail_counts(4500, 3, 100).tolist() == [4500, 450, 45]
    assert long_tail_counts(2, 3, 100).tolist() == [2, 1, 1]


@pytest.mark.parametrize("ratio", [0.5, float("nan")])
def test_long_tail__a_ratio_below_one_is_refused(ratio):
    with pytest.raises(ConfigError, match=f"^data: an imbalance of {ratio} is not a ratio"):
        long_tail(3, ratio)
