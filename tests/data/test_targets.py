import numpy as np

from lightseg.data.targets import is_class, is_multilabel


def test_targets__their_axes_tell_them_apart():
    assert [is_multilabel(target) for target in (3, np.uint8(3), np.zeros((2, 3)))] == [False] * 3
    assert [is_multilabel(target) for target in (np.zeros(3), np.zeros((2, 3, 1)))] == [True] * 2


def test_is_class__of_every_kind_of_target():
    assert is_class(3, 3).tolist() is True
    assert is_class(np.array([[0, 3], [255, 1]]), 3).tolist() == [[False, True], [False, False]]
    assert is_class(np.array([1, 0, 255]), 0).tolist() is True
    assert is_class(np.array([1, 0, 255]), 2).tolist() is False
    assert is_class(np.array([[[1, 0], [0, 255]]]), 0).tolist() == [[True, False]]
