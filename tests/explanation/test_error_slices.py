"""Rates and ranks of error slices."""

import numpy as np
import pytest

from lightseg.explanation.error_slices import ErrorSlice


def _slice(size, wrong, rest, lowest=1.0):
    return ErrorSlice("missed", 0, 0, size, wrong, rest, np.array([0]), np.array([0.0]), lowest=lowest)


def test_rate_excess_and_weight__by_hand():
    error_slice = _slice(100, 60, 0.1)
    assert error_slice.rate == 0.6
    assert error_slice.excess == pytest.approx(50)
    assert error_slice.weight == pytest.approx(100 * 0.5**2)


def test_weight__of_a_narrower_slice_of_the_same_errors_is_larger():
    assert _slice(50, 50, 0.0).weight > _slice(100, 50, 0.0).weight


def test_weight__uses_the_lowest_rate_and_is_not_negative():
    assert _slice(100, 60, 0.1, lowest=0.3).weight == pytest.approx(100 * 0.2**2)
    assert _slice(100, 60, 0.1, lowest=0.0).weight == 0
