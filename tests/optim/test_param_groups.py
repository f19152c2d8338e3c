"""Parameter groups by part of the net, decay and kind of bias."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.optim.optimizer import configure_optimizer
from lightseg.optim.param_groups import LayerDecay, param_groups


class NormNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.GroupNorm(2, 4), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 1))


def groups_of(net, *factors):
    names = {parameter: name for name, parameter in net.named_parameters()}
    groups = param_groups(net, *factors)
    return {group["name"]: [names[parameter] for parameter in group["params"]] for group in groups}, groups


def test_param_groups__biases_of_norms_apart():
    names, groups = groups_of(NormNet(), None, 1.0, 64.0)
    assert names == {
        "rest": ["encoder.0.weight", "head.2.weight"],
        "rest_no_decay": ["encoder.0.bias", "encoder.1.weight", "head.0.weight", "head.2.bias"],
        "rest_norm_bias": ["encoder.1.bias", "head.0.bias"],
    }
    assert [(group["lr_factor"], group["decay"]) for group in groups] == [(1, 1), (1, 0), (64, 1 / 64)]


def test_param_groups__with_no_factor_there_is_no_other_group():
    for factors in ([1.0], [1.0, 1.0]):
        assert groups_of(NormNet(), None, *factors)[0].keys() == {"rest", "rest_no_decay"}


def test_configure_optimizer__fast_biases_lose_in_a_step_what_a_weight_loses():
    net = NormNet()
    make = partial(torch.optim.SGD, lr=0.5, weight_decay=0.25)
    optimizer = configure_optimizer(make, net, net.encoder, 0.5, 8.0)
    options = {group["name"]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups}
    assert options["rest"] == (0.5, 0.25)
    assert options["rest_norm_bias"] == (4.0, 0.03125)
    assert options["encoder_norm_bias"] == (2.0, 0.03125)
    for parameter in net.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert net.head[0].bias.tolist() == [0.875] * 4
    assert net.head[2].weight.unique().tolist() == [0.875]
    # the encoder's weights at half the rate, and its biases likewise
    assert net.encoder[1].bias.unique().tolist() == net.encoder[0].weight.unique().tolist() == [0.9375]
    # no decay
    assert net.head[0].weight.tolist() == [1.0] * 4


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_param_groups__an_impossible_factor(factor):
    with pytest.raises(ConfigError, match="norm_bias_lr_factor must be above 0"):
        param_groups(NormNet(), None, 1.0, factor)


def test_param_groups__a_factor_with_nothing_to_act_on():
    with pytest.raises(ConfigError, match="Linear has no normalization whose bias is trained"):
        param_groups(nn.Linear(2, 2), None, 1.0, 64.0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))


def names_of(net, group):
    return {name for name, parameter in net.named_parameters() if any(parameter is p for p in group["params"])}


def groups_by_name(net, groups):
    return {group["name"]: names_of(net, group) for group in groups}


def test_param_groups__sorts_by_part_and_decay():
    net = Net()
    groups = param_groups(net, net.encoder, 0.1)
    assert groups_by_name(net, groups) == {
        "encoder": {"encoder.0.weight"},
        "encoder_no_decay": {"encoder.0.bias", "encoder.1.weight", "encoder.1.bias"},
        "rest": {"head.weight"},
        "rest_no_decay": {"head.bias", "scale"},
    }
    assert [group["lr_factor"] for group in groups if group["name"].startswith("encoder")] == [0.1, 0.1]
    assert [group["lr_factor"] for group in groups if group["name"].startswith("rest")] == [1.0, 1.0]


@pytest.mark.parametrize("with_encoder", [True, False])
def test_param_groups__holds_every_trainable_parameter_once(with_encoder):
    net = Net()
    net.head.bias.requires_grad_(False)
    net.tied = net.head
    groups = param_groups(net, net.encoder if with_encoder else None, 1.0)
    parameter_ids = [id(p) for group in groups for p in group["params"]]
    assert len(parameter_ids) == len(set(parameter_ids))
    assert set(parameter_ids) == {id(p) for p in net.parameters() if p.requires_grad}
    assert all(group["params"] for group in groups)


def test_param_groups__leaves_a_frozen_encoder_out():
    net = Net()
    net.encoder.requires_grad_(False)
    assert {group["name"] for group in param_groups(net, net.encoder, 1.0)} == {"rest", "rest_no_decay"}


def test_param_groups__refuses_factors_of_what_is_frozen():
    net = NormNet()
    net.encoder.requires_grad_(False)
    with pytest.raises(ConfigError, match=r"model.encoder_lr_factor: changes nothing, since the whole encoder is froz"):
        param_groups(net, net.encoder, 0.1)
    with pytest.raises(ConfigError, match=r"model.layer_decay: changes nothing"):
        param_groups(net, net.encoder, 1.0, 1.0, LayerDecay(0.5, {"encoder.0.weight": 0}))
    net.head.requires_grad_(False)
    with pytest.raises(ConfigError, match="NormNet has no normalization whose bias is trained"):
        param_groups(net, net.encoder, 1.0, 64.0)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_param_groups__refuses_an_impossible_factor(factor):
    net = Net()
    with pytest.raises(ConfigError, match=r"above 0.*freeze"):
        param_groups(net, net.encoder, factor)


def test_param_groups__refuses_a_factor_with_nothing_to_act_on():
    with pytest.raises(ConfigError, match="Net has no encoder"):
        param_groups(Net(), None, 0.1)
    with pytest.raises(ConfigError, match="not in the net"):
        param_groups(Net(), Net().encoder, 0.1)


def test_param_groups__refuses_a_net_that_is_all_frozen():
    with pytest.raises(ConfigError, match="Net has no trainable parameter"):
        param_groups(Net().requires_grad_(False), None, 1.0)
