"""Start of a run in its folder."""

import re
from types import SimpleNamespace

import pytest

from lightseg.training.opening import has_begun


@pytest.mark.parametrize(
    ("step", "file", "expected"),
    [
        (0, None, False),
        (1, None, True),
        (0, "checkpoints/last.ckpt", True),
        (0, "metrics.jsonl", True),
        (0, "config.yaml", False),
    ],
)
def test_has_begun__by_a_step_or_by_what_it_leaves(tmp_path, step, file, expected):
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert has_begun(tmp_path, SimpleNamespace(global_step=step)) is expected


def test_open_run__says_what_is_trained_and_by_what(fit, recipe):
    optimizer = "{class_path: SGD, init_args: {lr: 0.1, momentum: 0.9, nesterov: true}}"
    outcome = fit("--config", recipe(), "--model.optimizer", optimizer, "--trainer.fast_dev_run", "true")
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if "GFLOPs" in line]
    assert re.match(r"UNet, 0\.\d\d M parameters, 0\.\d\d GFLOPs for 3×32×32; SGD, lr 0\.1, momentum 0\.9", line)
    assert re.search(r"; WarmupCosine; .*; in .*/runs/tiny/\d{8}T\d{6}-[0-9a-f]{4}$", line)
