import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets import TimmNet


def test_small_images_keep_their_resolution():
    net = TimmNet(10, small_images=True, encoder="resnet18.a1_in1k")
    assert net.encoder.conv1.stride == (1, 1)
    assert isinstance(net.encoder.maxpool, nn.Identity)
    assert net.encoder.forward_features(torch.rand(1, 3, 32, 32)).shape == (1, 512, 4, 4)
    # kuangliu/pytorch-cifar's ResNet18
    assert sum(p.numel() for p in net.parameters()) == 11_173_962


def test_arguments_reach_timm():
    net = TimmNet(10, encoder="vit_tiny_patch16_224", kwargs={"img_size": 32, "depth": 2})
    assert net.encoder.pos_embed.shape[1] == 1 + 4
    assert len(net.encoder.blocks) == 2


def test_a_transformer_takes_any_size():
    net = TimmNet(10, encoder="vit_tiny_patch16_224", kwargs={"depth": 1})
    assert net(torch.rand(1, 3, 48, 80)).shape == (1, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    [
        "vgg11_bn",
        "densenet121",
        "inception_v4",
        "legacy_xception",
        "mobilenetv2_100",
        "mobilenetv3_small_050",
        "efficientnet_b0",
        "convnext_atto",
        "darknet53",
        "swin_tiny_patch4_window7_224",
        "deit_tiny_distilled_patch16_224",
        "mixer_s32_224",
        "levit_128s",
    ],
)
def test_families(encoder):
    net, side = TimmNet(5, encoder=encoder), 224 if encoder in ("mixer_s32_224", "levit_128s") else 96
    logits = net(torch.rand(2, 3, side, side))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert [key for key, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"encoder": "hf-hub:timm/resnet18"}, "no encoder"),
        ({"encoder": "convnext_atto", "small_images": True}, "small_images is for ResNets"),
        ({"kwargs": {"pretrained": True}}, "lightseg itself sets pretrained"),
    ],
)
def test_refusals(kwargs, match):
    with pytest.raises(ConfigError, match=match):
        TimmNet(5, **kwargs)
