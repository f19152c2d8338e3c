"""Inference configs: their description, and logits in windows."""

import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.inference.inference_config import InferenceConfig
from lightseg.nets import UNet
from lightseg.tasks import SegmentationTask


def _net(images):
    """Return logits that depend on the column and on the width."""
    ramp = torch.linspace(-1, 1, images.shape[3]).expand(len(images), 1, *images.shape[2:])
    return torch.cat([ramp, images[:, :1].float() / images.shape[3], -ramp], 1)


def test_str__default_is_that_of_older_runs():
    assert str(InferenceConfig()) == "whole images, scored at the size of their ground truth"


def test_str__names_every_option():
    assert str(InferenceConfig.of(512, 0.5, "scale,flip")) == (
        "windows of 512 pixels that overlap by 0.5, mirrored, at the scales 0.75, 1, 1.25, averaged, "
        "scored at the size of their ground truth"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window: must be 1 or more pixels, got 0"),
        ({"overlap": 1.0}, "overlap: must be .* below 1, got 1.0"),
        ({"overlap": -0.1}, "overlap: must be .* below 1, got -0.1"),
        ({"tta": "flop"}, "tta: no augmentation 'flop'; did you mean flip"),
    ],
)
def test_of__invalid_options(options, message):
    with pytest.raises(ConfigError, match=message):
        InferenceConfig.of(**options)


def test_of__ignores_order_and_repetition_of_augmentations():
    assert InferenceConfig.of(tta="scale, flip,scale") == InferenceConfig.of(tta=["flip", "scale"])


def test_logits__image_within_the_window_is_processed_in_one_piece():
    images = torch.rand(2, 3, 40, 50)
    assert torch.equal(InferenceConfig(50).logits(_net, images), _net(images))


def test_logits__windows_equal_the_image_away_from_borders():
    torch.manual_seed(0)
    task = SegmentationTask(UNet(3, width=4, depth=2), ["a", "b", "c"], mean=[0.5] * 3, std=[0.25] * 3).eval()
    image = torch.randint(0, 256, (1, 3, 64, 224), dtype=torch.uint8)
    with torch.inference_mode():
        expected, logits = task(image), InferenceConfig(128, 0.25).logits(task, image)
    # windows begin at 0 and 96; the receptive field has 22 pixels to each side
    for inside in (slice(0, 128 - 40 - 1), slice(96 + 40 + 1, 224)):
        assert (expected - logits)[..., inside].abs().max() < 1e-5
    assert (expected - logits)[..., 96:128].abs().max() > 1e-5
