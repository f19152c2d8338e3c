"""p values against all sign vectors, and for few images and many sums."""

from itertools import product

import numpy as np
import pytest

from lightseg.explanation.significance import FLIPS, p_values, rate_difference


def test_rate_difference__parts_add_up_to_the_difference():
    wrong, size = np.array([[3, 1], [0, 2], [1, 0]]), np.array([[4, 10], [2, 5], [4, 5]])

    assert rate_difference(wrong, size).sum() == pytest.approx(4 / 10 - 3 / 20)


def test_p_values__equal_the_shares_of_all_sign_vectors():
    parts = np.array([3.0, 2.0, 1.0, 0.5, -0.25, 1.5])
    sums = [parts @ signs for signs in product((-1, 1), repeat=6)]
    exact = np.mean([value >= parts.sum() - 1e-9 for value in sums])
    alone, corrected = p_values([(np.arange(6), parts)], 6)

    assert alone[0] == pytest.approx(exact, abs=4 * (exact / FLIPS) ** 0.5)
    # an equally large negative sum counts, too
    assert corrected[0] == pytest.approx(2 * exact, abs=4 * (2 * exact / FLIPS) ** 0.5)


def test_p_values__few_images_are_not_significant():
    alone, _ = p_values([(np.array([7, 8, 9]), np.ones(3))], 20)

    assert alone[0] == pytest.approx(1 / 8, abs=0.03)


def test_p_values__correction_for_many_sums():
    rng = np.random.default_rng(1)
    parts = [(np.arange(60), rng.normal(size=60)) for _ in range(100)]
    alone, corrected = p_values(parts, 60)

    assert alone.min() < 0.05 < corrected.min()
    # a true effect is significant among them
    alone, corrected = p_values([*parts, (np.arange(60), rng.normal(0.8, 1, 60))], 60)
    assert corrected[-1] < 0.01
