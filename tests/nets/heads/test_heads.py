import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightseg.nets.heads import HEADS, Levels, build_head

PYRAMID = Levels((8, 12, 16, 20), (4, 8, 16, 32))
PLAIN = Levels((12, 12, 12, 12), (14, 14, 14, 14))
NAMES = pytest.mark.parametrize("name", HEADS)


def features(levels, height, width, batch=2):
    """Random maps of an image, whose sides are rounded up to multiples of the strides."""
    sides = [(-(-height // stride), -(-width // stride)) for stride in levels.strides]
    return [torch.randn(batch, channels, *side) for channels, side in zip(levels.channels, sides, strict=True)]


@NAMES
@pytest.mark.parametrize("levels", [PYRAMID, PLAIN, PYRAMID._replace(channels=(9,), strides=(32,))])
def test_heads__give_logits_at_the_size_of_the_finest_map_or_finer(name, levels):
    head = build_head(name, 5, levels, None if name == "linear" else 8)
    maps = features(levels, 70, 112)
    logits = head(maps)
    rescales = levels.is_plain and name in ("fpn", "upernet", "dpt")
    assert logits.shape == (2, 5, *(side * (4 if rescales else 1) for side in maps[0].shape[2:]))
    logits.square().sum().backward()
    assert [key for key, p in head.named_parameters() if p.grad is None] == []


@NAMES
@pytest.mark.parametrize("levels", [PYRAMID, PLAIN])
def test_heads__take_the_smallest_image(name, levels):
    head = build_head(name, 2, levels, None).eval()
    assert head(features(levels, 1, 1, batch=1)).isfinite().all()


@NAMES
def test_heads__the_last_layer_gives_the_classes_and_has_the_bias(name):
    head = build_head(name, 5, PYRAMID, None)
    layers = [module for module in head.modules() if isinstance(module, nn.Conv2d) and module.out_channels == 5]
    assert [layer.bias is not None for layer in layers] == [False] * (len(layers) - 1) + [True]
    with torch.no_grad():
        layers[-1].bias.copy_(torch.arange(5.0))
        for layer in layers:
            layer.weight.zero_()
        logits = head.eval()(features(PYRAMID, 64, 64))
    torch.testing.assert_close(logits, torch.arange(5.0)[:, None, None].expand_as(logits))


def test_linear__is_a_linear_layer_on_the_concatenated_maps():
    head = build_head("linear", 5, PYRAMID, None).double().eval()
    maps = [level.double() for level in features(PYRAMID, 64, 96)]
    weight = torch.cat([score.weight for score in head.scores], 1)
    resized = [F.interpolate(level, size=maps[0].shape[2:], mode="bilinear") for level in maps]
    # without training, normalization divides by the root of 1 + 1e-5
    expected = F.conv2d(torch.cat(resized, 1) / (1 + 1e-5) ** 0.5, weight, head.scores[-1].bias)
    torch.testing.assert_close(head(maps), expected)


def test_segformer__is_that_of_smp():
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

    torch.manual_seed(0)
    head = build_head("segformer", 5, PYRAMID, 8).eval()
    other = SegformerDecoder([3, 0, *PYRAMID.channels], segmentation_channels=8).eval()
    with torch.no_grad():
        for mine, theirs in zip(reversed(head.project), other.mlp_stage, strict=True):
            theirs.linear.weight.copy_(mine.weight[:, :, 0, 0])
            theirs.linear.bias.copy_(mine.bias)
        # SMP concatenates from the coarsest to the finest level
        blocks = head.fuse[0].weight.split(8, 1)
        other.fuse_stage[0].weight.copy_(torch.cat(blocks[::-1], 1))
        maps = features(PYRAMID, 64, 96)
        decoded = other([torch.empty(2, 3, 64, 96), torch.empty(2, 0, 32, 48), *maps])
        torch.testing.assert_close(head(maps), head.classifier(decoded))
