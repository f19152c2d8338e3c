"""Atomic checkpoints that keep the previous file."""

import io
import os
import pickle

import pytest
import torch

from lightseg.checkpoint.io import AtomicCheckpointIO, refused_class
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


@pytest.mark.parametrize(("value", "name"), [(print, "print"), (Custom, f"{__name__}.Custom"), (os.system, "system")])
def test_refused_class__is_that_of_the_file(value, name):
    content = io.BytesIO()
    torch.save({"x": value}, content)
    content.seek(0)
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(content, weights_only=True)
    assert refused_class(caught.value).removeprefix(" (posix.").strip(" ()") == name


def test_save_checkpoint__refuses_what_cannot_be_loaded(tmp_path):
    with pytest.raises(RunError, match=r"holds more than tensors and plain data \(.*test_io\.Custom\)"):
        AtomicCheckpointIO().save_checkpoint({"state": Custom()}, tmp_path / "last.ckpt")
    assert list(tmp_path.iterdir()) == []
