"""Layers that the heads share."""

import pytest
import torch

from lightseg.nets.heads.base import Levels, conv_norm, conv_norm_relu, resize, sum_resized


@pytest.mark.parametrize(("strides", "is_plain"), [((4, 8), False), ((14, 14), True), ((32,), True)])
def test_levels__of_one_size_are_plain(strides, is_plain):
    assert Levels((8,) * len(strides), strides).is_plain is is_plain


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_norm__keeps_the_size_and_has_no_bias_but_that_of_the_norm(kernel):
    layers = conv_norm(3, 5, kernel)
    assert layers(torch.randn(2, 3, 7, 9)).shape == (2, 5, 7, 9)
    assert layers[0].bias is None
    rectified = conv_norm_relu(3, 5, kernel).eval()
    assert rectified(torch.randn(2, 3, 7, 9)).min() == 0


def test_sum_resized__at_the_size_of_the_first_map():
    fine, coarse = torch.rand(1, 2, 8, 6), torch.full((1, 2, 3, 2), 5.0)
    assert resize(coarse, fine).tolist() == torch.full((1, 2, 8, 6), 5.0).tolist()
    torch.testing.assert_close(sum_resized([fine, coarse, coarse]), fine + 10)
    assert sum_resized([fine]) is fine
