"""Atomic checkpoints that keep the previous file."""

import pytest
import torch

from lightseg.checkpoint.io import AtomicCheckpointIO
from lightseg.errors import RunError


class Custom:
    """State that is no plain data."""


def test_save_checkpoint__keeps_the_previous_file(tmp_path):
    plugin = AtomicCheckpointIO()
    for step in range(3):
        plugin.save_checkpoint({"step": step}, tmp_path / "last.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "previous.ckpt"}
    steps = [torch.load(tmp_path / name, weights_only=True)["step"] for name in ("previous.ckpt", "last.ckpt")]
    assert steps == [1, 2]


def test_save_checkpoint__refuses_what_cannot_be_loaded(tmp_path):
    with pytest.raises(RunError, match=r"holds more than tensors and plain data \(.*test_io\.Custom\)"):
        AtomicCheckpointIO().save_checkpoint({"state": Custom()}, tmp_path / "last.ckpt")
    assert list(tmp_path.iterdir()) == []
