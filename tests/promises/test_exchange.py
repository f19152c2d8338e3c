"""Number of collective operations per step; each is a wait in a network of machines."""

import json

import pytest

from tests.helpers.processes import DDP, wait_for_run

pytestmark = pytest.mark.slow

RECIPE = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
data:
  init_args: {image_size: 32, train_size: 64, val_size: 4, test_size: 4, batch_size: 16, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 4, callbacks: [{class_path: counting.Count}]}
"""

COUNT = """
import collections, json, os
import lightning as L
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

class Count(L.Callback):
    def on_train_start(self, trainer, task):
        self.batches, self.seen = 0, collections.Counter()
        trainer.model.register_comm_hook(None, self.exchange)
        for name in ("all_reduce", "broadcast", "all_gather", "barrier"):
            setattr(distributed, name, self.counted(name, getattr(distributed, name)))

    def exchange(self, state, bucket):
        self.seen["gradients"] += bucket.is_last()
        return allreduce_hook(state, bucket)

    def counted(self, name, function):
        def call(*args, **kwargs):
            self.seen[name] += 1
            return function(*args, **kwargs)
        return call

    def on_before_optimizer_step(self, trainer, task, optimizer):
        gradients = [parameter.grad for parameter in task.net.parameters()]
        self.in_place = all(gradient.untyped_storage().nbytes() > gradient.nbytes for gradient in gradients)

    def on_train_batch_end(self, trainer, *_):
        self.batches += 1
        if trainer.is_last_batch and trainer.is_global_zero:
            with open(os.environ["COUNTED"], "w") as file:
                own = {"batches": self.batches, "steps": trainer.global_step, "in_place": self.in_place}
                json.dump({**own, **self.seen}, file)
"""


@pytest.mark.parametrize("accumulate", [1, 4])
def test_gradients__are_exchanged_once_in_an_optimiser_step(recipe, launch, own_module, tmp_path, accumulate):
    own_module("counting", COUNT)
    path = tmp_path / "counted.json"
    options = [*DDP, "--trainer.accumulate_grad_batches", str(accumulate)]
    wait_for_run(launch("--config", recipe(RECIPE), *options, COUNTED=str(path)))
    counted = json.loads(path.read_text())
    assert (counted["batches"], counted["steps"]) == (4 * accumulate, 4)
    assert counted["gradients"] == 4
    # they lie in the buffer that is exchanged
    assert counted["in_place"]
    # beside them, and once a step too: what the step holds of each class, its loss, whether the loss is a number, and
    # whether a process was told to stop
    assert counted["all_reduce"] - counted["gradients"] == 4 * 4
    assert not {"broadcast", "all_gather", "barrier"} & counted.keys(), counted
