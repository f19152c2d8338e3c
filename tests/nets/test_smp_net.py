import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.nets import SmpNet

ARCHS = {
    "unet": 32,
    "unetplusplus": 32,
    "manet": 32,
    "linknet": 32,
    "fpn": 32,
    "pspnet": 8,
    "deeplabv3": 8,
    "deeplabv3plus": 16,
    "pan": 16,
    "upernet": 32,
    "segformer": 32,
    "dpt": 32,
}


def check(net, side=64):
    logits = net(torch.rand(2, 3, side, side + net.stride))
    assert logits.shape == (2, 3, side, side + net.stride)
    logits.square().mean().backward()
    assert [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
def test_architectures(arch):
    net = SmpNet(3, arch=arch, encoder="vit_tiny_patch16_224" if arch == "dpt" else "resnet18")
    assert net.stride == ARCHS[arch]
    check(net, 128 if arch == "pan" else 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    [
        "resnet18",
        "vgg11_bn",
        "densenet121",
        "inceptionv4",
        "xception",
        "mobilenet_v2",
        "efficientnet-b0",
        "mit_b0",
        "mobileone_s0",
        "dpn68",
        "timm-skresnet18",
        "timm-efficientnet-b0",
        "tu-convnext_atto",
        "tu-darknet53",
        "swin_tiny_patch4_window7_224",
    ],
)
def test_encoder_families(encoder):
    check(SmpNet(3, encoder=encoder))


def test_names_as_people_write_them():
    assert SmpNet(2, arch="DeepLabV3+", encoder="resnet18").stride == 16
    assert type(SmpNet(2, arch="UNet++", encoder="resnet18").decoder).__name__ == "UnetPlusPlusDecoder"


def test_a_plain_timm_name_is_timms_encoder():
    net = SmpNet(2, encoder="mobilenetv3_small_050.lamb_in1k")
    assert net.encoder.name == "mobilenetv3_small_050.lamb_in1k"


def test_layers_that_the_architecture_does_not_reach_require_no_gradient():
    net = SmpNet(3, arch="pspnet", encoder="resnet18")
    frozen = {key.split(".")[1] for key, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {"layer3", "layer4"}
    assert net.training
    check(net)


def test_dpt_without_prefix_tokens_ignores_them():
    check(SmpNet(3, arch="dpt", encoder="vit_medium_patch16_gap_240"))


def test_arguments_reach_smp():
    assert SmpNet(2, arch="pspnet", encoder="resnet18", kwargs={"encoder_depth": 5, "upsampling": 32}).stride == 32


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"arch": "unett"}, "did you mean unet"),
        ({"encoder": "resnett34"}, "did you mean resnet34"),
        ({"encoder_weights": "imagent"}, "no weights 'imagent' for resnet34; did you mean imagenet"),
        ({"arch": "dpt"}, "dpt needs a vision transformer of timm.*resnet34 is none"),
        ({"arch": "linknet", "encoder": "mit_b0"}, "SMP cannot build linknet with encoder mit_b0"),
        ({"arch": "deeplabv3", "encoder": "vgg11_bn"}, "SMP cannot build deeplabv3 with encoder vgg11_bn"),
        ({"encoder": "vit_tiny_patch16_224"}, "SMP cannot build unet with encoder vit_tiny_patch16_224"),
        ({"kwargs": {"decoder_chanels": [8]}}, "did you mean decoder_channels"),
        ({"kwargs": {"classes": 4}}, "classes cannot be set"),
        ({"encoder": "tu-resnet18", "kwargs": {"nope": 4}}, "SMP cannot build unet with encoder resnet18.*nope"),
    ],
)
def test_refusals(kwargs, match):
    with pytest.raises(ConfigError, match=match) as caught:
        SmpNet(3, **kwargs)
    assert len(str(caught.value).splitlines()) <= 2
