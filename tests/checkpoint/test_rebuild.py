"""Predictions of a loaded model equal those of its training process."""

import socket

import numpy as np
import pytest
import torch

import lightseg
from lightseg.checkpoint.rebuild import build_data, class_tensors
from lightseg.errors import ConfigError, UserError
from lightseg.nets import FCN

RECORD = """
import lightning as L
import torch


class Record(L.Callback):
    '''Saves the logits of validation images while they are validated in training.'''

    def on_validation_batch_start(self, trainer, task, batches, batch_idx, dataloader_idx=0):
        if trainer.state.fn == "fit" and not trainer.sanity_checking and batch_idx == 0:
            data = trainer.datamodule
            with trainer.precision_plugin.val_step_context():
                logits = [task.logits_at_target(data.eval_batch(index, "val"))[0] for index in range(5)]
                torch.save({"images": logits, "batch": task.logits_at_target(batches[0])}, "logits.pt")
"""

# as few kernels as possible, since each is compiled anew
COMPILED = ("--model.compile", "true", "--model.net.depth", "1")
EMA = ("--trainer.callbacks+=EMA", "--trainer.callbacks.decay=0.5")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="plain"),
        pytest.param(EMA, id="ema"),
        pytest.param(("--trainer.precision", "bf16-mixed"), id="bf16", marks=[pytest.mark.slow, pytest.mark.bf16]),
        pytest.param(COMPILED, id="compiled", marks=pytest.mark.slow),
        pytest.param((*COMPILED, *EMA), id="compiled ema", marks=pytest.mark.slow),
    ],
)
def test_predict__equals_the_training_process_to_the_last_bit(fit, recipe, own_module, monkeypatch, options):
    own_module("record", RECORD)
    outcome = fit("--config", recipe(), "--trainer.max_epochs", "1", *options, "--trainer.callbacks+=record.Record")
    assert outcome.code == 0, outcome.err

    def refuse(*arguments):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    recorded, task = torch.load("logits.pt", weights_only=True), lightseg.load(outcome.folder)
    data = build_data(task.recipe["config"])
    batch = next(iter(data.val_dataloader()))[0]
    with torch.autocast("cpu", torch.bfloat16, enabled="bf16-mixed" in options), torch.inference_mode():
        for index, logits in enumerate(recorded["images"]):
            image, _ = data.dataset("val")[index]
            prediction = task.predict(image, details=True)
            assert np.array_equal(prediction.logits, logits.numpy())
            assert np.array_equal(task.predict(image), logits.argmax(0).numpy())
        assert torch.equal(task.logits_at_target(batch), recorded["batch"])


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("key", ["data", "seed_everything"])
def test_build_data__config_without_a_required_key(key, trust):
    config = {"data": {"class_path": "lightseg.data.Shapes"}, "seed_everything": 0}
    with pytest.raises(UserError, match=f"has no {key}, without which"):
        build_data({**config, key: None}, trust=trust)


def _net_config(path, **options):
    return {"model": {"init_args": {"net": {"class_path": path, "init_args": options}}}}


def test_class_tensors__of_a_net_whose_width_is_the_number_of_classes():
    config = _net_config("lightseg.nets.FCN", num_classes=None, width=4)
    scores = {f"scores.{index}.{name}" for index in range(3) for name in ("weight", "bias")}
    assert class_tensors(FCN(4, in_channels=2, width=4), config, 4, 2) == scores


def test_class_tensors__of_a_net_for_one_number_of_classes(own_module):
    own_module("picky", "import torch\n\nclass Picky(torch.nn.Module):\n" + PICKY)
    with pytest.raises(ConfigError, match=r"model.init: FCN cannot be built for 5 classes, by which .*only 4"):
        class_tensors(FCN(4, width=4), _net_config("picky.Picky"), 4, 3)


PICKY = """
    def __init__(self, num_classes: int):
        raise ValueError("only 4")
"""
