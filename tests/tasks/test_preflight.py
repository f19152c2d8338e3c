"""Nets whose output or state cannot be used."""

import pytest

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
