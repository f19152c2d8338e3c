"""Optimizers: rates and decay per group, fused steps, state."""

import copy
import io
from functools import partial

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.optim.optimizer import configure_optimizer
from lightseg.optim.schedules import Poly, WarmupCosine, make_scheduler


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))


def test_configure_optimizer__sets_rate_and_decay():
    net = Net()
    optimizer = configure_optimizer(partial(torch.optim.AdamW, lr=1.0, weight_decay=0.5), net, net.encoder, 0.1)
    assert {group["name"]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups} == {
        "encoder": (0.1, 0.5),
        "encoder_no_decay": (0.1, 0.0),
        "rest": (1.0, 0.5),
        "rest_no_decay": (1.0, 0.0),
    }


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Adam", "RMSprop", "Rprop", "NAdam", "Adagrad", "Adadelta", "ASGD"])
def test_configure_optimizer__works_with_any_optimizer_that_takes_groups(name):
    net = Net()
    optimizer = configure_optimizer(partial(getattr(torch.optim, name), lr=0.1), net, net.encoder, 0.5)
    make_scheduler(optimizer, WarmupCosine(), 10)
    before = copy.deepcopy(net.state_dict())
    sum(p.square().sum() + p.sum() for p in net.parameters()).backward()
    optimizer.step()
    assert any(not torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_configure_optimizer__scheduler_keeps_the_factor():
    net = Net()
    optimizer = configure_optimizer(partial(torch.optim.SGD, lr=1.0), net, net.encoder, 0.1)
    scheduler = make_scheduler(optimizer, Poly(power=1.0), 4)
    optimizer.step()
    scheduler.step()
    assert {group["name"]: group["lr"] for group in optimizer.param_groups} == pytest.approx(
        {"encoder": 0.075, "encoder_no_decay": 0.075, "rest": 0.75, "rest_no_decay": 0.75}
    )


def test_configure_optimizer__state_is_plain_data():
    net = Net()
    buffer = io.BytesIO()
    optimizer = configure_optimizer(partial(torch.optim.AdamW, lr=1.0), net, net.encoder, 0.1)
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    optimizer.load_state_dict(torch.load(buffer, weights_only=True))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1, 1.0, 1.0]


def _fused(make, net):
    return {group["fused"] for group in configure_optimizer(make, net, net.encoder, 0.5).param_groups}


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_configure_optimizer__is_fused_where_torch_can_unless_the_user_says_how(name):
    make = partial(getattr(torch.optim, name), lr=0.1)
    assert _fused(make, Net()) == {True}
    assert _fused(partial(make, fused=False), Net()) == {False}
    assert _fused(partial(make, foreach=True), Net()) == {None}
    assert _fused(make, Net().to("meta")) == {None}


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_configure_optimizer__fused_steps_are_the_steps(name):
    options = {"momentum": 0.9, "nesterov": True} if name == "SGD" else {}
    make = partial(getattr(torch.optim, name), lr=0.1, weight_decay=0.01, **options)
    torch.manual_seed(0)
    plain = Net()
    fused = copy.deepcopy(plain)
    optimizers = [configure_optimizer(partial(make, fused=False), plain, plain.encoder, 0.5)]
    optimizers.append(configure_optimizer(make, fused, fused.encoder, 0.5))
    for step in range(3):
        for net, optimizer in zip((plain, fused), optimizers, strict=True):
            optimizer.zero_grad()
            sum(p.square().sum() + p.sum() for p in net.parameters()).backward()
            if step == 1:
                # as the guard skips a step
                optimizer.zero_grad(set_to_none=True)
            optimizer.step()
    for one, other in zip(plain.parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    # what a fused constructor would take over from a gradient scaler stays with it, so that gradients can be clipped
    assert not getattr(optimizers[1], "_step_supports_amp_scaling", False)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("saved_fused", [True, False])
def test_configure_optimizer__goes_on_as_the_machine_of_now_can(name, saved_fused):
    optimizers = []
    # not fused, as on a device that cannot
    for options in ({}, {"fused": False}) if saved_fused else ({"fused": False}, {}):
        net = Net()
        make = partial(getattr(torch.optim, name), lr=0.1, **options)
        optimizers.append(configure_optimizer(make, net, net.encoder, 0.5))
        sum(p.square().sum() for p in net.parameters()).backward()
    saved, here = optimizers
    saved.step()
    state = copy.deepcopy(saved.state_dict())
    here.load_state_dict(state)
    assert {group["fused"] for group in here.param_groups} == {not saved_fused}
    assert {group["fused"] for group in state["param_groups"]} == {saved_fused}
    here.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (torch.optim.LBFGS, "parameter groups.*LBFGS.*such as torch.optim.AdamW"),
        (partial(torch.optim.AdamW, lr=-1.0), "Invalid learning rate: -1.0"),
    ],
)
def test_configure_optimizer__refusal_is_a_config_error(make, message):
    with pytest.raises(ConfigError, match=message):
        configure_optimizer(make, Net(), None, 1.0)
