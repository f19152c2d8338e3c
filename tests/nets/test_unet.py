import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets import UNet

LAYERS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d, "group": nn.GroupNorm, "none": nn.Identity}


@pytest.mark.parametrize("norm", LAYERS)
def test_norms(norm):
    net = UNet(3, width=6, depth=2, norm=norm)
    assert sum(type(m) is LAYERS[norm] for m in net.modules()) == 10
    net(torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_norms_that_do_not_depend_on_the_batch(norm):
    torch.manual_seed(0)
    net, x = UNet(3, width=8, depth=2, norm=norm).double(), torch.rand(4, 3, 16, 16).double()
    torch.testing.assert_close(net(x)[:1], net(x[:1]))


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_stride_follows_the_depth(depth):
    net = UNet(2, width=2, depth=depth)
    assert net.stride == 2**depth
    assert net(torch.rand(2, 3, 3 * net.stride, 2 * net.stride)).shape == (2, 2, 3 * net.stride, 2 * net.stride)


def test_papers_size():
    # 31 million parameters, as every account of the original says
    assert 31.0e6 < sum(p.numel() for p in UNet(2, in_channels=1, width=64).parameters()) < 31.1e6


def test_full_resolution_reaches_the_head_through_a_skip():
    torch.manual_seed(0)
    net = UNet(1, width=8, depth=2, norm="none").eval()
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    net(x)[0, 0, 5, 5].backward()
    assert x.grad[0, :, 5, 5].abs().sum() > 0


@pytest.mark.parametrize(("kwargs", "match"), [({"norm": "layer"}, "choose one of"), ({"depth": 0}, "depth")])
def test_refusals(kwargs, match):
    with pytest.raises(ConfigError, match=match):
        UNet(2, **kwargs)
