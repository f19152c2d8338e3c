"""Points that no other one beats."""

import numpy as np
import pytest

from lightseg.search.report import _front_of


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(1, 0.5)], [0]),
        ([(1, 0.5), (2, 0.7), (3, 0.6), (4, 0.9)], [0, 1, 3]),
        # of one cost the better, of one score the cheaper
        ([(1, 0.5), (1, 0.6), (2, 0.6)], [1]),
    ],
)
def test_front(points, front):
    assert _front_of(np.array(points, float)) == front
