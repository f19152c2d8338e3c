from contextlib import nullcontext

import pytest
import torch
from torch import nn

from lightseg.tasks.depthwise import float32_depthwise


def gradients(layer, image, bf16, context):
    """Return output and gradients of a layer in mixed precision."""
    layer.zero_grad()
    image = image.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), context(layer):
        output = layer(image)
    output.float().square().sum().backward()
    return output, image.grad, layer.weight.grad


@pytest.mark.bf16
@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 2)])
def test_float32_depthwise__gradients_are_nearer_to_those_of_float32(kernel, stride):
    torch.manual_seed(0)
    layer, image = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8), torch.randn(2, 8, 9, 9)
    exact = gradients(layer, image, False, lambda _: nullcontext())
    mixed = gradients(layer, image, True, float32_depthwise)
    plain = gradients(layer, image, True, lambda _: nullcontext())
    assert mixed[0].dtype == torch.bfloat16
    # rounded once, at the end
    assert torch.equal(mixed[0], exact[0].bfloat16())
    assert not torch.equal(plain[0], mixed[0])
    for value, reference in zip(mixed[1:], exact[1:], strict=True):
        torch.testing.assert_close(value, reference, rtol=0.02, atol=0.05)


@pytest.mark.bf16
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 7, padding=3, groups=8),
        nn.Conv2d(8, 8, 5, groups=4),
        nn.Conv2d(8, 4, 5, 2),
        nn.Conv2d(1, 4, 5, 2),
    ],
)
def test_float32_depthwise__other_convolutions_stay(layer):
    image = torch.randn(2, layer.in_channels, 9, 9)
    slow = nn.Conv2d(8, 8, 5, groups=8)
    with torch.autocast("cpu", torch.bfloat16), float32_depthwise(nn.ModuleList([layer, slow])):
        output = layer(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(output, layer(image))


def test_float32_depthwise__only_in_mixed_precision():
    assert isinstance(float32_depthwise(nn.Conv2d(8, 8, 5, groups=8)), nullcontext)
    with torch.autocast("cpu", torch.bfloat16):
        assert isinstance(float32_depthwise(nn.Conv2d(8, 8, 3, groups=8)), nullcontext)
        assert not isinstance(float32_depthwise(nn.Conv2d(8, 8, 5, groups=8)), nullcontext)
