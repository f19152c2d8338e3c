"""Numbers in the text of a comparison."""

from lightseg.comparison.results import Estimate
from lightseg.comparison.text import interval


def test_interval__finer_where_it_is_narrow_and_turned_round():
    assert interval(Estimate(0.021, 0.008, 0.033, 0.01)) == "0.8 to 3.3"
    assert interval(Estimate(0.0005, 0.0001, 0.0009, 0.01)) == "0.01 to 0.09"
    assert interval(Estimate(-0.021, -0.033, -0.008, 0.01), -1) == "0.8 to 3.3"
    assert interval(Estimate(0.1, float("nan"), float("nan"), 1)) == "unknown"
