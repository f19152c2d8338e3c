import pytest
import torch
from torch.nn import functional as F

from lightseg.nets.heads.upernet import PyramidPooling, pool


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
@pytest.mark.parametrize("sides", [(1, 1), (2, 7), (6, 6), (11, 13)])
def test_pool__is_that_of_torch(bins, sides):
    x = torch.randn(2, 3, *sides)
    torch.testing.assert_close(pool(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_pyramid_pooling__trains_on_the_mean_of_one_image():
    layer = PyramidPooling(8)
    layer(torch.randn(1, 8, 4, 4)).sum().backward()
    assert [name for name, p in layer.named_parameters() if p.grad is None] == []
