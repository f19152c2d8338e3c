"""Learning-rate schedules and their scheduler."""

import io
import itertools
import math
import pickle

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.optim.schedules import WARMUP_START, Constant, OneCycle, Poly, Triangular, WarmupCosine, make_scheduler

SCHEDULES = [Constant(), Constant(0.1), WarmupCosine(), Poly(), Poly(2.0, 0.1), OneCycle(), Triangular()]


every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{type(s).__name__}{vars(s)}")


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
