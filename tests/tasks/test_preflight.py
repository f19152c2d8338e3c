"""Checks of schedules and class weights before training."""

import pytest

from lightseg.errors import ConfigError
from lightseg.tasks.preflight import try_schedule


def test_schedule__that_is_negative_is_refused():
    with pytest.raises(ConfigError, match="model.schedule: function multiplies the learning rate by -0.05"):
        try_schedule(lambda progress: -progress)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model.class_weights", "[3, 3, 3, 3, 3, 3]"],
            "model.class_weights: [3.0, 3.0, 3.0, 3.0, 3.0, 3.0] are all equal",
        ),
        # 2 epochs of 3 batches
        (["--model.class_weights", "inverse", "--model.class_weights_from", "0.9"], "of 6 steps is after the last one"),
        (["--model.class_weights", "inverse", "--model.class_weights_from", "0.84"], "give 0.83 or less"),
        (
            ["--model.class_weights", "inverse", "--model.class_weights_from", "0.6", "--trainer.max_steps", "2"],
            "model.class_weights_from: 0.6 of 2 steps",
        ),
    ],
)
def test_class_weights__without_effect_are_refused(fit, recipe, tmp_path, arguments, message):
    outcome = fit("--config", recipe(), *arguments)
    assert outcome.code == 2
    assert message in outcome.err.splitlines()[-1]
    assert not list((tmp_path / "runs").glob("*/*"))


def test_frozen_encoder__until_after_the_last_step_is_refused(fit, recipe):
    net = ["--model.net", "{class_path: FCN, init_args: {width: 4}}"]
    outcome = fit("--config", recipe(), *net, "--model.freeze_encoder", "0.9")
    assert outcome.code == 2
    assert "model.freeze_encoder: 0.9 of 6 steps is after the last one" in outcome.err
    assert "give 0.83 or less, or 1 to freeze it throughout" in outcome.err


def test_scheduler__a_rate_that_becomes_negative_is_refused(fit, recipe):
    schedule = "{class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: -1}}"
    outcome = fit("--config", recipe(), "--model.schedule", schedule)
    assert outcome.code == 2
    assert "model.schedule: ExponentialLR makes the learning rate -0.0" in outcome.err


def test_class_weights__of_the_last_step(fit, recipe):
    outcome = fit("--config", recipe(), "--model.class_weights", "inverse", "--model.class_weights_from", "0.83")
    assert outcome.code == 0, outcome.err


NET = """
import torch

class Net(torch.nn.Conv2d):
    def __init__(self, num_classes: int = 2, in_channels: int = 3):
        super().__init__(in_channels, num_classes, 1)

    def forward(self, images):
        logits = super().forward(images)
        return {output}

    {method}
"""


@pytest.mark.parametrize(
    ("output", "method", "message"),
    [
        ("logits[:0]", "", "Net gives [0, 6, 32, 32] for images of [1, 3, 32, 32], instead of [1, 6, 32, 32]"),
        ("logits.to('meta')", "", "Net gives logits on the device meta for images on cpu"),
        ("logits.long()", "", "Net gives torch.int64; logits are floating-point numbers"),
        ("logits", "get_extra_state = lambda self: print", "state_dict.net._extra_state: is no plain tensor"),
        ("logits", "get_extra_state = lambda self: {'epoch': 1}", "state_dict.net._extra_state: is no plain tensor"),
    ],
)
def test_net__whose_output_or_state_cannot_be_used(fit, recipe, own_module, tmp_path, output, method, message):
    own_module("unfit", NET.format(output=output, method=method))
    outcome = fit("--config", recipe(), "--model.net", "unfit.Net")
    assert outcome.code == 2
    assert f"lightseg: error: model.net: {message}" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_net__of_half_the_size_is_fine(fit, recipe, own_module):
    own_module("half", NET.format(output="logits[..., ::2, ::2]", method=""))
    outcome = fit("--config", recipe(), "--model.net", "half.Net", "--trainer.fast_dev_run", "true")
    assert outcome.code == 0
