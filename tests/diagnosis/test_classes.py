import numpy as np

from lightseg.data import Shapes
from lightseg.diagnosis.classes import tiny_findings, typical_side


def test_typical_side__specks_count_little():
    assert typical_side(np.array([1] * 50 + [400])) == 20
    assert typical_side(np.array([4, 4, 4])) == 2


def test_tiny__class_of_specks():
    data = Shapes()
    objects = [{1: np.array([4, 9]), 2: np.array([100])}] * 4
    (finding,) = tiny_findings(data, objects)
    assert "circle (3.0 pixels)" in finding.what
    assert "square" not in finding.what
