"""Uncertainty, and the errors among the most uncertain."""

import numpy as np
import pytest
import torch

from lightseg.explanation.uncertainty import ByUncertainty, entropy, label_entropy


def test_by_uncertainty__errors_among_the_most_uncertain():
    counted = ByUncertainty()
    counted.update(torch.tensor([0.9, 0.8, 0.3, 0.2]), torch.tensor([True, False, True, False]))

    assert counted.errors_among(0.25) == pytest.approx(0.5)
    assert counted.errors_among(0.75) == pytest.approx(1.0)
    assert np.isnan(ByUncertainty().errors_among(0.5))


def test_entropy__goes_from_0_to_1():
    assert entropy(torch.tensor([[1.0, 0.25], [0.0, 0.25], [0.0, 0.25], [0.0, 0.25]])).tolist() == [0.0, 1.0]


def test_by_uncertainty__images_add_up_and_the_most_uncertain_is_in_the_last_bin():
    counted = ByUncertainty()
    for value in (1.0, 0.9995, 0.0):
        counted.update(torch.tensor([value]), torch.tensor([value > 0.5]))

    assert counted.steps.sum(0).tolist() == [3, 2]
    assert counted.steps[-1].tolist() == [2, 2]
    assert counted.errors_among(1) == 1
    assert counted.errors_among(1 / 3) == pytest.approx(0.5)


def test_entropy__of_one_class_is_0():
    assert entropy(torch.ones(1, 3)).tolist() == [0, 0, 0]


def test_label_entropy__of_a_choice_of_two():
    values = label_entropy(torch.tensor([[0.0, 1.0], [0.5, 0.25]]))
    assert values.tolist() == [[0, 0], [1, pytest.approx(0.25 * 2 + 0.75 * np.log2(4 / 3))]]
