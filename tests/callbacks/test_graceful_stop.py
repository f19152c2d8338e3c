"""Graceful stops by signals."""

import signal
from datetime import timedelta
from types import SimpleNamespace

import pytest
from torch import distributed

from lightseg.callbacks import GracefulStop
from lightseg.callbacks.graceful_stop import Stop


@pytest.fixture
def a_step(monkeypatch):
    """The start of a step of two processes; what happens while they agree."""

    def step(interrupt, meanwhile=lambda: None, others=0):
        def largest(value, group):
            meanwhile()
            return max(value, others)

        monkeypatch.setattr("lightseg.callbacks.graceful_stop.largest", largest)
        interrupt._host_group = object()
        interrupt.on_train_batch_start(SimpleNamespace(accumulate_grad_batches=1), None, None, 0)

    return step


def test_graceful_stop__a_signal_that_comes_while_processes_agree_is_not_lost(a_step):
    interrupt = GracefulStop()

    def signalled():
        interrupt.received = signal.SIGUSR1

    a_step(interrupt, signalled)
    with pytest.raises(Stop):
        a_step(interrupt)


def test_graceful_stop__of_another_process_stops_this_one(a_step):
    interrupt = GracefulStop()
    with pytest.raises(Stop):
        a_step(interrupt, others=int(signal.SIGTERM))
    assert interrupt.received == signal.SIGTERM


def test_graceful_stop__waits_for_others_as_long_as_the_strategy_does(monkeypatch):
    monkeypatch.setattr(distributed, "new_group", lambda **options: options)
    interrupt, strategy = GracefulStop(), SimpleNamespace(_timeout=timedelta(minutes=5))
    interrupt.on_train_start(SimpleNamespace(world_size=2, strategy=strategy), None)
    interrupt.restore()
    assert interrupt._host_group == {"backend": "gloo", "timeout": timedelta(minutes=5)}


def test_graceful_stop__hangup_is_deferred_once_and_nohup_ignores_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    trainer = SimpleNamespace(world_size=1, accumulate_grad_batches=1)
    try:
        stop = GracefulStop()
        stop.on_train_start(trainer, None)
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
        with pytest.raises(Stop):
            stop.on_train_batch_start(trainer, None, None, 0)
        stop.restore()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop = GracefulStop()
        stop.on_train_start(trainer, None)
        signal.raise_signal(signal.SIGHUP)
        stop.on_train_batch_start(trainer, None, None, 0)
        stop.restore()
    finally:
        signal.signal(signal.SIGHUP, before)
