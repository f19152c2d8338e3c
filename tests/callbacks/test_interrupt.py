import signal
from types import SimpleNamespace

import pytest
import torch

from lightseg.callbacks import Interrupt
from lightseg.callbacks.interrupt import Stop


def a_step(interrupt, meanwhile=lambda: None, others=0):
    """The start of a step of two processes; what happens while they agree."""

    def reduce(own, reduce_op):
        assert reduce_op == "max"
        meanwhile()
        return torch.maximum(own, torch.tensor(others))

    trainer = SimpleNamespace(accumulate_grad_batches=1, world_size=2, strategy=SimpleNamespace(reduce=reduce))
    interrupt.on_train_batch_start(trainer, SimpleNamespace(device=torch.device("cpu")), None, 0)


def test_interrupt__a_signal_that_comes_while_processes_agree_is_not_lost():
    interrupt = Interrupt()

    def signalled():
        interrupt.received = signal.SIGUSR1

    a_step(interrupt, signalled)
    with pytest.raises(Stop):
        a_step(interrupt)


def test_interrupt__of_another_process_stops_this_one():
    interrupt = Interrupt()
    with pytest.raises(Stop):
        a_step(interrupt, others=int(signal.SIGTERM))
    assert interrupt.received == signal.SIGTERM
