"""Training images per second."""

from types import SimpleNamespace

import pytest
import torch

from lightseg.callbacks import Throughput
from lightseg.callbacks import throughput as module


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock.now)
    return clock


class Task:
    """Notes what is logged."""

    device = torch.device("cpu")

    def __init__(self):
        self.rates = []

    def log(self, name, value):
        assert name == "train/images_per_s"
        self.rates.append(float(value))


def _trainer(**facts):
    facts = {"log_every_n_steps": 2, "num_training_batches": 5, "world_size": 3, "is_last_batch": False, **facts}
    return SimpleNamespace(**facts)


@pytest.mark.parametrize(("interval", "batches", "expected"), [(2, 5, 2), (50, 5, 5), (1, 0, 1)])
def test_start__the_interval_is_an_epoch_at_most(interval, batches, expected):
    trainer = _trainer(log_every_n_steps=interval, num_training_batches=batches)
    Throughput().on_train_start(trainer, Task())
    assert trainer.log_every_n_steps == expected


def test_throughput__images_of_all_processes_by_the_time_without_validation(clock):
    callback, task, trainer = Throughput(), Task(), _trainer()
    batch = {"image": torch.zeros(4, 1, 1, 1)}
    callback.on_train_start(trainer, task)
    for index in range(5):
        clock.now += 2
        trainer.is_last_batch = index == 4
        callback.on_train_batch_end(trainer, task, None, batch, index)
        if index == 1:
            # a validation of 100 s
            clock.now += 100
            callback.on_validation_end(trainer, task)
    # 4 images of 3 processes every 2 s; the last interval has one batch
    assert task.rates == [6.0, 6.0, 6.0]
    clock.now += 100
    callback.on_train_epoch_start(trainer, task)
    clock.now += 1
    callback.on_train_batch_end(trainer, task, None, batch, 0)
    clock.now += 1
    callback.on_train_batch_end(trainer, task, None, batch, 1)
    assert task.rates[-1] == 12.0
