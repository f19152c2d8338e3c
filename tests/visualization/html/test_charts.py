import numpy as np
import pytest

from lightseg.visualization.html.charts import Axis


def test_axis__goes_from_round_number_to_round_number():
    axis = Axis.over(np.array([12.0, 88.0]), 200, 0)

    assert list(axis.ticks) == [0, 20, 40, 60, 80, 100]
    assert list(axis.at([0, 25, 100])) == [200, 150, 0]


def test_axis__of_a_single_value():
    assert Axis.over(np.array([3.0, 3.0]), 0, 100).at([3.0])[0] == pytest.approx(50)


def test_axis__of_equal_ratios():
    axis = Axis.over(np.array([0.1, 10.0]), 0, 100, is_log=True)

    assert axis.ticks[0] == pytest.approx(0.1)
    assert axis.at([1.0])[0] == pytest.approx(50)


def test_axis__over_many_decades():
    values = np.array([0.1, 4e-3, 2.4e-6, 1.6e-7])
    axis = Axis.over(values, 236, 8, is_log=True)
    assert axis.ticks[0] <= values.min()
    assert axis.ticks[-1] >= values.max()
    assert ((axis.at(values) >= 8) & (axis.at(values) <= 236)).all()
