"""Segmentation: images of any size, logits of their size."""

import numpy as np
import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets import SimpleCNN
from lightseg.tasks import SegmentationTask
from lightseg.tasks.segmentation import _pad


class Half(nn.Module):
    """Logits at half of the resolution: the mean of four pixels, which must lie in a grid of 4 × 4."""

    stride = 4

    def forward(self, images):
        assert not any(side % 4 for side in images.shape[2:])
        return nn.functional.avg_pool2d(images, 2)


def _task(net):
    return SegmentationTask(net, ["a", "b", "c"], mean=[0.0] * 3, std=[1.0] * 3).eval()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 5), (8, 8), (9, 40), (37, 61)])
def test_pad__mirrors_over_and_over(size):
    image = torch.rand(2, 3, *size)
    padded = _pad(image, 8)
    more = [(0, 0), (0, 0), *((0, -side % 8) for side in size)]
    assert np.array_equal(padded.numpy(), np.pad(image.numpy(), more, mode="reflect"))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8)])
def test_logits__have_the_size_of_the_image(size):
    images = torch.rand(2, 3, *size)
    padded = _pad(images, 4)
    expected = nn.functional.interpolate(
        nn.functional.avg_pool2d(padded, 2), padded.shape[2:], mode="bilinear", align_corners=False
    )
    assert torch.equal(_task(Half()).logits(images), expected[..., : size[0], : size[1]])


def test_logits__a_stride_that_is_a_pair_is_that_of_a_convolution():
    images = torch.rand(1, 3, 5, 5)
    assert torch.equal(_task(net := nn.Conv2d(3, 3, 1)).logits(images), net(images))


def test_logits__of_a_classifier_are_refused():
    with pytest.raises(ConfigError, match="^SimpleCNN gives one class for each image; take UNet"):
        _task(SimpleCNN(3, image_size=16)).logits(torch.rand(1, 3, 16, 16))


def test_scores__are_those_of_the_matrix():
    counts = torch.tensor([[3, 1, 0], [1, 3, 0], [0, 0, 2]])
    scores = _task(Half()).scores(counts)
    assert scores["score"] == scores["miou"] == pytest.approx((0.6 + 0.6 + 1) / 3)
    assert scores["accuracy"] == 0.8
