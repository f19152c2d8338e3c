"""Memory of nets before they are built."""

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets import UNet
from lightseg.nets.memory import needs_values, require_room, without_memory


def test_require_room__names_the_options_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    require_room(UNet, {"num_classes": 2, "width": 4, "depth": 1})
    with pytest.raises(ConfigError, match=r"model\.net.*UNet\(width=100000, depth=4\)"):
        require_room(UNet, {"num_classes": 2, "width": 100_000, "depth": 4})
    assert torch.equal(torch.get_rng_state(), state)


def test_require_room__custom_nets_are_not_checked():
    require_room(nn.Linear, {"in_features": 10**9, "out_features": 10**9})


def test_without_memory__linspace_has_values():
    with without_memory():
        assert nn.Linear(10**6, 10**6).weight.is_meta
        assert torch.linspace(0, 1, 3).tolist() == [0, 0.5, 1]


def test_needs_values__looks_at_causes():
    error = ValueError("outer")
    error.__cause__ = RuntimeError("Tensor.item() cannot be called on meta tensors: meta tensor")
    assert needs_values(error)
    assert not needs_values(ValueError("outer"))
    assert not needs_values(None)
