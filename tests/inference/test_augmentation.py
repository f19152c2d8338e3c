"""Test-time augmentation: the logits of augmented images, mapped back."""

import pytest
import torch
from torch.nn import functional as F

from lightseg.errors import ConfigError
from lightseg.inference.inference_config import InferenceConfig


def _net(images):
    """Return logits that depend on the column and on the width."""
    ramp = torch.linspace(-1, 1, images.shape[3]).expand(len(images), 1, *images.shape[2:])
    return torch.cat([ramp, images[:, :1].float() / images.shape[3], -ramp], 1)


def test_logits__mirrored_image_is_mirrored_back():
    images = torch.rand(1, 3, 8, 10)
    expected = (_net(images).softmax(1) + _net(images.flip(-1)).softmax(1).flip(-1)) / 2
    logits = InferenceConfig(tta=("flip",)).logits(_net, images)
    assert torch.allclose(logits.exp(), expected, atol=1e-6)
    assert torch.allclose(logits.exp().sum(1), torch.ones(1, 8, 10))


def test_logits__scaled_images_are_resized_back():
    images = torch.randint(0, 256, (1, 3, 12, 16), dtype=torch.uint8)
    expected = _net(images.float() / 255).softmax(1)
    for height, width in ((9, 12), (15, 20)):
        view = F.interpolate(images.float() / 255, (height, width), mode="bilinear", antialias=True)
        expected = expected + F.interpolate(_net(view), (12, 16), mode="bilinear").softmax(1)

    def net(views):
        return _net(views.float() / 255 if views.dtype == torch.uint8 else views)

    assert torch.allclose(InferenceConfig(tta=("scale",)).logits(net, images).exp(), expected / 3, atol=1e-6)


def test_logits__classifier_is_averaged_and_windows_are_refused():
    def net(images):
        return _net(images).mean((2, 3))

    images = torch.rand(3, 3, 8, 10)
    expected = (net(images).softmax(1) + net(images.flip(-1)).softmax(1)) / 2
    assert torch.allclose(InferenceConfig(tta=("flip",)).logits(net, images).exp(), expected, atol=1e-6)
    with pytest.raises(ConfigError, match="window: a classifier"):
        InferenceConfig(8).logits(net, images)


def _sums(images):
    """Return two logits that depend on the positions of pixels, so that each view of an image has its own."""
    weights = torch.linspace(-1, 1, images[0].numel()).reshape(images.shape[1:])
    logits = (images.float() * weights).flatten(1).sum(1)
    return torch.stack([logits, -logits], 1)


def test_logits__shifted_images_are_weighted():
    images = torch.rand(2, 3, 4, 5)
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    up, down = padded[:, :, 2:, 2:], padded[:, :, :-2, :-2]
    shifted = [_sums(view).softmax(1) for view in (images, up, down)]
    logits = InferenceConfig.of(tta="shift").logits(_sums, images)
    assert torch.allclose(logits.exp(), shifted[0] / 2 + shifted[1] / 4 + shifted[2] / 4, atol=1e-6)
    averaged = [(_sums(view).softmax(1) + _sums(view.flip(-1)).softmax(1)) / 2 for view in (images, up, down)]
    logits = InferenceConfig.of(tta="flip,shift").logits(_sums, images)
    assert torch.allclose(logits.exp(), averaged[0] / 2 + averaged[1] / 4 + averaged[2] / 4, atol=1e-6)


def test_logits__shift_is_refused_for_segmentation():
    with pytest.raises(ConfigError, match="tta: shift is for classification"):
        InferenceConfig.of(tta="shift").logits(_net, torch.rand(1, 3, 8, 8))


def test_view__names_shift():
    assert InferenceConfig.of(tta="flip,shift").view == "whole images, mirrored, shifted by a pixel, averaged"
