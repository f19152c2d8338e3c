"""What chance does, against all that it can do."""

from itertools import product

import numpy as np
import pytest

from lightseg.explanation.significance import FLIPS, difference, p_values


def test_difference__adds_up_to_the_difference_of_the_rates():
    wrong, size = np.array([[3, 1], [0, 2], [1, 0]]), np.array([[4, 10], [2, 5], [4, 5]])

    assert difference(wrong, size).sum() == pytest.approx(4 / 10 - 3 / 20)


def test_p_values__are_the_shares_of_all_signs():
    parts = np.array([3.0, 2.0, 1.0, 0.5, -0.25, 1.5])
    sums = [parts @ signs for signs in product((-1, 1), repeat=6)]
    exact = np.mean([each >= parts.sum() - 1e-9 for each in sums])
    alone, together = p_values([(np.arange(6), parts)], 6)

    assert alone[0] == pytest.approx(exact, abs=4 * (exact / FLIPS) ** 0.5)
    # what is as clear to the other side counts, too
    assert together[0] == pytest.approx(2 * exact, abs=4 * (2 * exact / FLIPS) ** 0.5)


def test_p_values__few_images_prove_nothing():
    alone, _ = p_values([(np.array([7, 8, 9]), np.ones(3))], 20)

    assert alone[0] == pytest.approx(1 / 8, abs=0.03)


def test_p_values__among_many_something_is_always_clear():
    rng = np.random.default_rng(1)
    parts = [(np.arange(60), rng.normal(size=60)) for _ in range(100)]
    alone, together = p_values(parts, 60)

    assert alone.min() < 0.05 < together.min()
    # and what is more than chance is found among them
    alone, together = p_values([*parts, (np.arange(60), rng.normal(0.8, 1, 60))], 60)
    assert together[-1] < 0.01
