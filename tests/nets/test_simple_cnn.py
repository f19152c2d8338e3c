import copy
import math

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets import SimpleCNN


def test_has_the_tutorials_number_of_parameters():
    assert sum(p.numel() for p in SimpleCNN(10).parameters()) == 315_722


def test_starts_as_keras_does():
    layers = [m for m in SimpleCNN(10).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        area = layer.weight[0, 0].numel()
        bound = math.sqrt(6 / (area * (layer.weight.shape[0] + layer.weight.shape[1])))
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


def test_another_image_size_names_the_option():
    net = SimpleCNN(10)
    with pytest.raises(ConfigError, match=r"model\.net\.image_size"):
        net(torch.rand(1, 3, 28, 28))


@pytest.mark.parametrize("size", [10, 28, 33])
def test_takes_other_sizes_when_told(size):
    assert SimpleCNN(3, 1, image_size=size)(torch.rand(2, 1, size, size)).shape == (2, 3)


def test_refuses_images_that_vanish():
    with pytest.raises(ConfigError, match="image_size: must be 10 pixels or more for SimpleCNN, got 9"):
        SimpleCNN(10, image_size=9)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.bf16)])
def test_simple_cnn__is_the_tutorials_to_the_last_bit(dtype):
    net = SimpleCNN(10).to(dtype)
    tutorial = copy.deepcopy(net)
    for pool in (1, 5):
        tutorial.layers[pool], tutorial.layers[pool + 1] = nn.ReLU(), nn.MaxPool2d(2)
    images = torch.randn(8, 3, 32, 32).to(dtype)
    grads = []
    for model in (net, tutorial):
        torch.manual_seed(0)
        logits = model(images)
        logits.float().square().sum().backward()
        grads.append([logits, *[parameter.grad for parameter in model.parameters()]])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*grads, strict=True))
