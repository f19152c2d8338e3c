"""Class weights, priors and the bias of the last layer."""

import math
from typing import get_args

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.losses.class_weights import (
    WeightScheme,
    class_prior,
    class_weights,
    effective_number,
    label_prior,
    last_bias,
    positive_weights,
    set_prior_bias,
)

every_scheme = pytest.mark.parametrize("scheme", get_args(WeightScheme))
PIXELS = torch.tensor([9_000_000, 900_000, 90_000, 10_000])


def scaled(values):
    return [value / (sum(values) / len(values)) for value in values]


def test_class_weights__inverse_by_hand():
    weights = class_weights("inverse", torch.tensor([1, 2, 4]))
    assert weights.tolist() == pytest.approx(scaled([1, 1 / 2, 1 / 4]))


def test_class_weights__sqrt_inverse_by_hand():
    weights = class_weights("sqrt_inverse", torch.tensor([1, 4, 16]))
    assert weights.tolist() == pytest.approx(scaled([1, 1 / 2, 1 / 4]))


def test_class_weights__effective_number_by_hand():
    # the mean count is 4, so beta is 3/4
    weights = class_weights("effective_number", torch.tensor([1, 2, 9]))
    assert weights.tolist() == pytest.approx(scaled([1 / (1 - 0.75**n) for n in (1, 2, 9)]))


def test_class_weights__median_frequency_by_hand():
    # shares of the images they occur in: 60/100, 30/100 and 10/20
    weights = class_weights("median_frequency", torch.tensor([60, 30, 10]), torch.tensor([100, 100, 20]))
    assert weights.tolist() == pytest.approx(scaled([0.5 / 0.6, 0.5 / 0.3, 0.5 / 0.5]))


def test_class_weights__median_frequency_of_plain_shares_is_inverse():
    torch.testing.assert_close(class_weights("median_frequency", PIXELS), class_weights("inverse", PIXELS))


@every_scheme
def test_class_weights__are_positive_with_mean_one_and_rarer_is_heavier(scheme):
    weights = class_weights(scheme, PIXELS)
    assert weights.dtype == torch.float32
    assert weights.mean().item() == pytest.approx(1)
    assert (weights > 0).all()
    assert (weights.diff() > 0).all()
    assert weights[-1] / weights[0] > 2


@every_scheme
def test_class_weights__resolution_of_counting_does_not_matter(scheme):
    torch.testing.assert_close(class_weights(scheme, PIXELS), class_weights(scheme, 1000 * PIXELS), rtol=1e-3, atol=0)


@every_scheme
def test_class_weights__equal_counts_give_ones(scheme):
    assert class_weights(scheme, torch.tensor([7, 7, 7])).tolist() == pytest.approx([1, 1, 1])


@every_scheme
@pytest.mark.parametrize("n", [1, 10**12])
def test_class_weights__single_class_is_one(scheme, n):
    assert class_weights(scheme, torch.tensor([n])).tolist() == pytest.approx([1])


@every_scheme
def test_class_weights__class_that_never_occurs_is_neutral(scheme):
    weights = class_weights(scheme, torch.tensor([5, 0, 50]))
    assert weights[1] == 1
    assert weights[[0, 2]].tolist() == pytest.approx(class_weights(scheme, torch.tensor([5, 50])).tolist())


@every_scheme
def test_class_weights__refuses_an_empty_split(scheme):
    with pytest.raises(ConfigError, match="every count is 0"):
        class_weights(scheme, torch.tensor([0, 0]))


def test_class_weights__a_list_is_used_as_it_is():
    assert class_weights([0, 2, 0.5], torch.tensor([1, 1, 1])).tolist() == [0, 2, 0.5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0, 2.0], "2 class weights for 3 classes"),
        ([1.0, 2.0, -1.0], "at least 0"),
        ([1.0, 2.0, math.nan], "finite"),
        ([0.0, 0.0, 0.0], "not all 0"),
        ("sqrt_invers", "did you mean sqrt_inverse"),
    ],
)
def test_class_weights__refuses_what_is_wrong_and_says_why(given, message):
    with pytest.raises(ConfigError, match=message):
        class_weights(given, torch.tensor([1, 1, 1]))


def test_effective_number__by_hand():
    # (1 - 0.9^n) / 0.1
    assert effective_number(torch.tensor([1, 2, 3]), beta=0.9).tolist() == pytest.approx([1, 1.9, 2.71])
    assert effective_number(torch.tensor([1, 5]), beta=0.0).tolist() == [1, 1]


def test_effective_number__lies_between_one_and_the_count():
    numbers = effective_number(PIXELS)
    assert (numbers >= 1).all()
    assert (numbers <= PIXELS).all()
    # the rare are hardly discounted; the frequent level off at the mean count
    assert numbers[-1].item() == pytest.approx(10_000, rel=0.01)
    assert numbers[0].item() == pytest.approx(2_500_000, rel=0.05)


def test_class_prior__by_hand():
    assert class_prior(torch.tensor([6, 3, 1])).tolist() == pytest.approx([0.6, 0.3, 0.1])
    # the class that does not occur counts as the rarest that does
    assert class_prior(torch.tensor([6, 0, 2])).tolist() == pytest.approx([0.6, 0.2, 0.2])


def test_class_prior__refuses_an_empty_split():
    with pytest.raises(ConfigError, match="every count is 0"):
        class_prior(torch.tensor([0, 0]))


PRIOR = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)


def head(layer):
    nn.init.zeros_(layer.weight)
    return nn.Sequential(nn.Conv2d(3, 3, 1) if isinstance(layer, nn.Conv2d) else nn.Linear(3, 3), nn.ReLU(), layer)


@pytest.mark.parametrize(
    ("net", "image"),
    [(head(nn.Conv2d(3, 3, 1)), torch.rand(2, 3, 4, 4)), (head(nn.Linear(3, 3)), torch.rand(2, 3))],
    ids=["conv", "linear"],
)
def test_prior_bias__a_net_that_knows_nothing_predicts_the_prior(net, image):
    first = net[0].bias.clone()
    set_prior_bias(net, PRIOR, sigmoid=False)
    assert net(image).softmax(1).movedim(1, -1).reshape(-1, 3)[0].tolist() == pytest.approx(PRIOR.tolist())
    set_prior_bias(net, PRIOR, sigmoid=True)
    assert net(image).sigmoid().movedim(1, -1).reshape(-1, 3)[0].tolist() == pytest.approx(PRIOR.tolist())
    assert torch.equal(net[0].bias, first)


def test_prior_bias__of_a_single_class_is_finite():
    net = nn.Linear(2, 1)
    set_prior_bias(net, class_prior(torch.tensor([5])), sigmoid=True)
    assert net.bias.isfinite().all()


def test_last_bias__skips_what_has_another_number_of_outputs():
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5))
    assert last_bias(net, 3) is net[0].bias


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1)), "Sequential has no nn.Linear or nn.Conv2d of 3 outputs.*leave it out"),
        (nn.Sequential(nn.Conv2d(3, 3, 1, bias=False)), "the last layer of Sequential has no bias; give it one"),
    ],
)
def test_last_bias__refuses_a_net_without_one(net, message):
    with pytest.raises(ConfigError, match=rf"^model\.prior_bias: .*{message}"):
        last_bias(net, 3)


def test_positive_weights__balanced_gives_positives_and_negatives_the_same_weight():
    truth = torch.tensor([[90, 10], [5, 20], [7, 0], [0, 4]])
    weights = positive_weights("balanced", truth)
    assert weights.tolist() == [9.0, 0.25, 1.0, 1.0]
    assert (truth[:2, 1] * weights[:2]).tolist() == truth[:2, 0].tolist()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 positive weights for 2 classes"),
        ([1.0, -2.0], "positive weights must be finite, at least 0"),
        ([1.0, 1e7], "model.positive_weights: must be 0, or between"),
        ("balance", "model.positive_weights: there is no 'balance'; did you mean balanced"),
    ],
)
def test_positive_weights__refuse_what_has_no_meaning(weights, message):
    with pytest.raises(ConfigError, match=message):
        positive_weights(weights, torch.ones(2, 2))


def test_label_prior__is_the_share_of_the_valid_pixels():
    prior = label_prior(torch.tensor([[90, 10], [5, 20], [7, 0]]))
    assert prior.tolist() == pytest.approx([0.1, 0.8, 1 / 8])
