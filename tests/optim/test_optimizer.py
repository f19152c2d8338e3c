import copy
import io
import itertools
import math
import pickle
from functools import partial

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.optim.optimizer import configure_optimizer, param_groups
from lightseg.optim.schedules import WARMUP_START, Constant, OneCycle, Poly, Triangular, WarmupCosine, make_scheduler

SCHEDULES = [Constant(), Constant(0.1), WarmupCosine(), Poly(), Poly(2.0, 0.1), OneCycle(), Triangular()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{type(s).__name__}{vars(s)}")


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


# ---- parameter groups -----------------------------------------------------------------------------------------------


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
    assert {group["name"] for group in param_groups(net, net.encoder, 0.1)} == {"rest", "rest_no_decay"}


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


# ---- optimiser ------------------------------------------------------------------------------------------------------


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


# ---- schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), {0: 1, 0.5: 1, 1: 1}),
        (Constant(0.2), {0: WARMUP_START, 0.1: (1 + WARMUP_START) / 2, 0.2: 1, 1: 1}),
        (WarmupCosine(0.0), {0: 1, 0.5: 0.5, 2 / 3: 0.25, 1: 0}),
        (WarmupCosine(0.2, final=0.1), {0: WARMUP_START, 0.2: 1, 0.6: 0.55, 1: 0.1}),
        (Poly(power=2.0), {0: 1, 0.5: 0.25, 0.9: 0.01, 1: 0}),
        (Poly(), {0: 1, 0.5: 0.5**0.9, 1: 0}),
        (Poly(power=1.0, warmup=0.5), {0: WARMUP_START, 0.5: 1, 0.75: 0.5, 1: 0}),
        (OneCycle(0.5, start=0.2, final=0.0), {0: 0.2, 0.25: 0.6, 0.5: 1, 0.75: 0.5, 1: 0}),
        (OneCycle(), {0: 0.04, 0.3: 1, 1: 1e-4}),
        (Triangular(0.5, start=0.2, final=0.0), {0: 0.2, 0.25: 0.6, 0.375: 0.8, 0.5: 1, 0.75: 0.5, 0.875: 0.25, 1: 0}),
        (Triangular(), {0: 0.2, 0.23: 1, 1: 0.07}),
    ],
)
def test_schedule__by_hand(schedule, expected):
    assert {progress: schedule(progress) for progress in expected} == pytest.approx(expected)


@every_schedule
def test_schedule__stays_in_range_and_peaks_at_the_base_rate(schedule):
    values = [schedule(step / 1000) for step in range(1001)]
    assert min(values) >= 0
    assert max(values) == pytest.approx(1)
    # a jump would be a mistake at a seam
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.03


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(1.0), "warmup is a fraction of training"),
        (lambda: WarmupCosine(warmup=5), "warmup is a fraction of training"),
        (lambda: WarmupCosine(final=2.0), "final is a multiplier"),
        (lambda: Poly(power=0.0), "power must be above 0"),
        (lambda: OneCycle(peak_at=0.0), "peak_at is a fraction"),
        (lambda: OneCycle(start=0.0), "start is a multiplier"),
        (lambda: OneCycle(final=-1.0), "final is a multiplier"),
    ],
)
def test_schedule__refuses_arguments_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def a_trace(schedule, total):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    scheduler = make_scheduler(optimizer, schedule, total)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates, optimizer, scheduler


@every_schedule
@pytest.mark.parametrize("total", [1, 7, 200])
def test_make_scheduler__step_has_the_rate_of_its_fraction(schedule, total):
    rates, _, _ = a_trace(schedule, total)
    assert rates == pytest.approx([2 * schedule(step / total) for step in range(total)])


@every_schedule
def test_make_scheduler__no_step_is_wasted(schedule):
    rates, _, _ = a_trace(schedule, 200)
    assert all(rate > 0 for rate in rates)
    assert rates[-1] == pytest.approx(2 * schedule(1.0), abs=0.02)


@every_schedule
def test_make_scheduler__stays_put_after_the_end(schedule):
    _, optimizer, scheduler = a_trace(schedule, 5)
    for _ in range(3):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * schedule(1.0))
        scheduler.step()


def test_make_scheduler__state_is_plain_and_resumes():
    rates, _, _ = a_trace(WarmupCosine(), 10)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    scheduler = make_scheduler(optimizer, WarmupCosine(), 10)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    buffer = io.BytesIO()
    torch.save([optimizer.state_dict(), scheduler.state_dict()], buffer)
    buffer.seek(0)
    resumed = torch.optim.SGD([parameter], lr=2.0)
    schedule = make_scheduler(resumed, WarmupCosine(), 10)
    for part, state in zip([resumed, schedule], torch.load(buffer, weights_only=True), strict=True):
        part.load_state_dict(state)
    assert resumed.param_groups[0]["lr"] == rates[4]
    resumed.step()
    schedule.step()
    assert resumed.param_groups[0]["lr"] == rates[5]


@every_schedule
def test_make_scheduler__can_be_pickled(schedule):
    _, _, scheduler = a_trace(schedule, 3)
    assert pickle.loads(pickle.dumps(scheduler)).get_last_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize("total", [0, math.inf])
def test_make_scheduler__refuses_a_training_without_end_or_steps(total):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ConfigError, match=r"set trainer\.max_epochs"):
        make_scheduler(optimizer, Constant(), total)
