"""Code of the user that exits is an error of the recipe, or of the run."""

import pytest

from lightseg import evaluate

NET = """
import sys
import torch
{imported}

class Net(torch.nn.Module):
    def __init__(self, num_classes: int = 2, in_channels: int = 3):
        super().__init__()
        {built}
        self.conv = torch.nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, images):
        if self.training:
            {trained}
        return self.conv(images)
"""


@pytest.mark.parametrize(
    ("place", "statement", "code"),
    [
        ("imported", "sys.exit(0)", 2),
        ("imported", "__import__('argparse').ArgumentParser().parse_args(['--unknown'])", 2),
        ("built", "sys.exit(0)", 2),
        ("trained", "raise SystemExit", 1),
    ],
)
def test_fit__code_of_the_user_exits(fit, recipe, own_module, tmp_path, place, statement, code):
    own_module("exiting", NET.format(**{"imported": "", "built": "", "trained": "pass", place: statement}))
    outcome = fit("--config", recipe(), "--model.net", "exiting.Net")
    assert outcome.code == code
    assert "lightseg: error: exiting called sys.exit" in outcome.err
    assert code == 1 or not list(tmp_path.glob("runs/*/*"))
    # without the usage that argparse prints first
    assert code == 1 or len(outcome.err.splitlines()) == 1


def test_fit__broken_pipe_of_the_user_keeps_its_traceback(fit, recipe, own_module):
    own_module("piping", NET.format(imported="", built="raise BrokenPipeError(32, 'own pipe')", trained="pass"))
    with pytest.raises(BrokenPipeError, match="own pipe"):
        fit("--config", recipe(), "--model.net", "piping.Net")


def test_evaluate__code_of_the_user_exits(fit, call, recipe, own_module, monkeypatch):
    module = own_module("leaving", NET.format(imported="LEAVES = False", built="", trained="raise SystemExit"))
    module.write_text(module.read_text().replace("self.training", "LEAVES"))
    outcome = fit("--config", recipe(), "--model.net", "leaving.Net", "--trainer.max_epochs", "1")
    assert outcome.code == 0
    monkeypatch.setattr("leaving.LEAVES", True)
    code, _, err = call(evaluate.main, outcome.folder, "--trust")
    assert code == 2
    assert "lightseg: error: leaving called sys.exit" in err
