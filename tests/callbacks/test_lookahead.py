from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lightseg.callbacks import Lookahead
from lightseg.errors import ConfigError
from tests.helpers.stateful_run import STATEFUL_RECIPE, assert_same_run

STEPS = 20


def train(callback, steps=STEPS, first=0, net=None, epoch=10):
    """A net whose weight is the number of the step unless the callback says otherwise; the weight after each step."""
    net = net or nn.Linear(1, 1)
    weights = []
    for step in range(first + 1, steps + 1):
        with torch.no_grad():
            net.weight += 1
        trainer = SimpleNamespace(accumulate_grad_batches=1, global_step=step, is_last_batch=step % epoch == 0)
        task = SimpleNamespace(net=net, progress=step / STEPS)
        callback.on_train_batch_end(trainer, task, None, None, step - 1)
        weights.append(net.weight.item())
    return weights


def start(value):
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, value)
    return net


def test_lookahead__by_hand():
    weights = train(Lookahead(every=4, decay=0.5, power=1.0, start=0.3), net=start(0.0), epoch=10)
    # the first update is the first that is due after step 6: it takes the average as it is
    slow = 8.0
    assert weights[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    # the end of the epoch sets the net to the average
    assert weights[9] == slow
    # after step 12 the weight is 10, and 0.5**4 * 12/20 of the average is kept
    share = 0.5**4 * 12 / 20
    slow = share * slow + (1 - share) * 10
    assert weights[11] == pytest.approx(slow)
    share, fast = 0.5**4 * 16 / 20, slow + 4
    assert weights[15] == pytest.approx(share * slow + (1 - share) * fast)


def test_lookahead__counts_steps_not_batches():
    callback, net = Lookahead(every=1, start=0.0), start(3.0)
    trainer = SimpleNamespace(accumulate_grad_batches=2, global_step=1, is_last_batch=False)
    callback.on_train_batch_end(trainer, SimpleNamespace(net=net, progress=0.5), None, None, 0)
    assert callback.state_dict() == {"slow": []}
    callback.on_train_batch_end(trainer, SimpleNamespace(net=net, progress=0.5), None, None, 1)
    assert len(callback.state_dict()["slow"]) == 2


def test_lookahead__averages_statistics_too_and_leaves_whole_numbers():
    callback, net = Lookahead(every=1, decay=1.0, power=0.0, start=0.0), nn.BatchNorm1d(2)
    trainer = SimpleNamespace(accumulate_grad_batches=1, global_step=1, is_last_batch=False)
    task = SimpleNamespace(net=net, progress=0.5)
    callback.on_train_batch_end(trainer, task, None, None, 0)
    net.running_mean += 4
    net.num_batches_tracked += 7
    callback.on_train_batch_end(trainer, task, None, None, 1)
    # a decay of 1 keeps all of the average
    assert net.running_mean.tolist() == [0, 0]
    assert net.num_batches_tracked == 7


def test_lookahead__goes_on_from_its_state():
    uninterrupted = train(Lookahead(), net=start(0.0))
    before, after, net = Lookahead(), Lookahead(), start(0.0)
    first = train(before, steps=13, net=net)
    after.load_state_dict(before.state_dict())
    assert first + train(after, first=13, net=net) == uninterrupted


def test_resume__gives_what_the_whole_run_gives(fit, crashing_recipe, monkeypatch):
    averaged = "lightseg.callbacks.EMA, init_args: {decay: 0.9}"
    assert averaged in STATEFUL_RECIPE
    crashing_recipe.write_text(
        STATEFUL_RECIPE.replace(averaged, "lightseg.callbacks.Lookahead, init_args: {every: 2, start: 0.1}")
    )
    uninterrupted = fit("--config", crashing_recipe)
    monkeypatch.setenv("CRASH", "on_train_batch_end:13")
    crashed = fit("--config", crashing_recipe)
    monkeypatch.delenv("CRASH")
    assert fit("--resume", crashed.folder).code == 0
    assert_same_run(crashed.folder, uninterrupted.folder)


@pytest.mark.parametrize("options", [{"every": 0}, {"decay": 1.5}, {"power": -1.0}, {"start": 1.0}], ids=str)
def test_options__without_a_meaning(options):
    with pytest.raises(ConfigError, match=f"Lookahead: {next(iter(options))}"):
        Lookahead(**options)
