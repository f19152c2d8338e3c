"""Sums of losses: their value, and what a recipe may have wrong."""

import math

import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.losses.losses import MSE, CrossEntropy, Tversky
from lightseg.losses.weighted_sum import build_loss


@pytest.mark.parametrize("weight", [None, torch.tensor([0.2, 1.0, 3.0, 0.5])], ids=["plain", "weighted"])
def test_build_loss__is_the_weighted_sum(weight):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 4, 6, 5, generator=generator)
    target = torch.randint(4, (2, 6, 5), generator=generator)
    target[0, :2] = IGNORE
    loss = build_loss({"ce": 2, "tversky": {"weight": 0.5, "alpha": 0.2}, "mse": {}}, weight)
    expected = 2 * CrossEntropy(weight)(logits, target) + 0.5 * Tversky(weight, alpha=0.2)(logits, target)
    torch.testing.assert_close(loss(logits, target), expected + MSE(weight)(logits, target))
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "positive coefficient"),
        ({"ce": 0.0}, "positive coefficient"),
        ({"dise": 1.0}, "did you mean dice"),
        ({"ce": "much"}, "ce: weight must be a number, not 'much'"),
        ({"ce": True}, "must be a number"),
        ({"ce": math.nan}, "must be a number"),
        ({"ce": -1.0}, "at least 0, not -1.0"),
        ({"focal": {"gama": 2.0}}, "no 'gama'; did you mean gamma"),
        ({"focal": {"gamma": "2"}}, "gamma must be a number"),
        ({"focal": {"gamma": -2.0}}, "gamma must be at least 0"),
        ({"sigmoid_focal": {"alpha": 2}}, "alpha must be in"),
        ({"ce": {"label_smoothing": 1}}, "label_smoothing must be in"),
        ({"tversky": {"beta": -1}}, "beta must be at least 0"),
        ({"ohem": {"threshold": 0}}, "threshold must be in"),
        ({"ohem": {"min_kept": 5}}, "min_kept is a share"),
    ],
)
def test_build_loss__refuses_what_is_wrong_and_says_why(spec, message):
    with pytest.raises(ConfigError, match=message):
        build_loss(spec, None)


def test_loss__coefficients_within_float32_are_taken():
    assert build_loss({"ce": 1e-6, "dice": 1e6}, None)


@pytest.mark.parametrize(
    ("spec", "multilabel", "message"),
    [
        ({"ce": 1.0}, True, "ce is for classes that exclude each other; take bce here"),
        ({"bce": 1.0, "lovasz": 1.0}, True, "lovasz is for classes that exclude each other; take jaccard here"),
        ({"ohem": 1.0}, True, "take focal here"),
        ({"bce": 1.0}, False, "bce is for classes that may overlap; take ce here"),
        ({"bec": 1.0}, True, "there is no loss 'bec'; did you mean bce"),
    ],
)
def test_build_loss__refuses_losses_of_other_classes(spec, multilabel, message):
    with pytest.raises(ConfigError, match=message):
        build_loss(spec, None, multilabel)
