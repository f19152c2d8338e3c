"""Host synchronizations of a training step; on a GPU each waits for everything queued."""

import contextlib
import traceback

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten
WAITS = {
    ATEN._local_scalar_dense.default: "item",
    ATEN.nonzero.default: "nonzero",
    ATEN.bincount.default: "bincount",
    ATEN.equal.default: "equal",
    ATEN.is_nonzero.default: "bool",
    ATEN.masked_select.default: "masked_select",
    ATEN._unique2.default: "unique",
}

RECIPE = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
    loss: {ce: 1.0, dice: 1.0, ohem: 0.5, lovasz: 0.5, focal: 0.5}
    class_weights: sqrt_inverse
data:
  init_args: {image_size: 32, train_size: 64, val_size: 4, test_size: 4, batch_size: 4, void_border: 1, num_workers: 1}
trainer:
  accelerator: cpu
  max_epochs: 1
  log_every_n_steps: 8
  enable_progress_bar: true
  gradient_clip_val: 1.0
  callbacks: [{class_path: lightseg.callbacks.EMA}, {class_path: hostsync.Watch}]
"""

WATCH = """
import lightning as L
from tests.promises.test_host_sync import Waits

class Watch(L.Callback):
    def on_train_start(self, trainer, task):
        Waits.trainer = trainer
"""


class Waits(TorchDispatchMode):
    """Notes every wait between the first and the last step, by step and by the line of Python that asks for it."""

    trainer = None

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        trainer = Waits.trainer
        if func in WAITS and trainer is not None and trainer.training:
            files = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack()[:-1]]
            files = [file for file in files if "/torch/_" not in file]
            self.found.append((trainer.fit_loop.epoch_loop.batch_idx, WAITS[func], files))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits(fit, recipe, own_module, monkeypatch):
    """The waits of the steps between two lines of the log, of a run as the command line makes it."""

    def run(*options):
        # on an accelerator the targets are not looked at
        monkeypatch.setattr("lightseg.losses.base._is_on_host", lambda _: False)
        own_module("hostsync", WATCH)
        monkeypatch.setattr(Waits, "trainer", None)
        with contextlib.ExitStack() as stack:
            mode = stack.enter_context(Waits())
            outcome = fit("--config", recipe(RECIPE), *options)
        assert outcome.code == 0, outcome.err
        # the log is written in the 8th and the 16th step; the first one begins the averages
        return [(step, kind, files) for step, kind, files in mode.found if step not in (-1, 0, 7, 15)]

    return run


def test_step__waits_for_the_loss_alone(waits):
    recorded_waits = waits()
    of_guard = [wait for wait in recorded_waits if "callbacks/non_finite.py" in wait[-1][-1]]
    assert [(step, kind) for step, kind, _ in of_guard] == [(step, "item") for step in (*range(1, 7), *range(8, 15))]
    others = [(step, kind, files[-3:]) for step, kind, files in recorded_waits if (step, kind, files) not in of_guard]
    assert others == [], "\n".join(map(str, others))
