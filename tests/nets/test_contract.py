"""Contract of all nets; add new ones to NETS."""

import copy
import inspect
import socket
import subprocess
import sys

import pytest
import torch

from lightseg import nets

SEGMENTATION = {
    "fcn": (nets.FCN, {"width": 4}),
    "fcn_timm": (nets.FCN, {"encoder": "resnet18.a1_in1k"}),
    "segmenter": (nets.Segmenter, {"encoder": "test_resnet.r160_in1k", "width": 8}),
    "segmenter_vit": (nets.Segmenter, {"encoder": "test_vit.r160_in1k", "head": "upernet", "width": 8}),
    "smp": (nets.SmpNet, {"encoder": "resnet18"}),
    "smp_timm": (nets.SmpNet, {"arch": "fpn", "encoder": "mobilenetv3_small_050.lamb_in1k"}),
    "unet": (nets.UNet, {"width": 4, "depth": 3}),
}
CLASSIFICATION = {
    "simple_cnn": (nets.SimpleCNN, {}, 32),
    "timm": (nets.TimmNet, {}, 64),
    "timm_small": (nets.TimmNet, {"small_images": True}, 32),
    "torchvision": (nets.TorchvisionNet, {"encoder": "mobilenet_v3_small"}, 64),
    "whitened_cnn": (nets.WhitenedCNN, {"width": 8}, 32),
}
NETS = {name: entry[:2] for name, entry in {**SEGMENTATION, **CLASSIFICATION}.items()}
every_net = pytest.mark.parametrize("name", NETS)


def build(name, **more):
    cls, kwargs = NETS[name]
    torch.manual_seed(0)
    return cls(num_classes=5, **kwargs, **more)


def image(name, net, channels=3, batch=2):
    if name in CLASSIFICATION:
        side = CLASSIFICATION[name][2]
        return torch.rand(batch, channels, side, side)
    # what the task makes of a 37×61 image
    height, width = (-(-side // net.stride) * net.stride for side in (37, 61))
    return torch.rand(batch, channels, height, width)


def expected_shape(name, x):
    return (len(x), 5) if name in CLASSIFICATION else (len(x), 5, *x.shape[-2:])


def test_every_exported_net_is_here():
    exported = {cls for cls in vars(nets).values() if inspect.isclass(cls) and issubclass(cls, nets.Net)}
    assert {cls for cls, _ in NETS.values()} == exported - {nets.Net}


def test_names_are_sorted():
    assert list(nets.__all__) == sorted(nets.__all__)


def test_import_is_cheap():
    heavy = "{'timm', 'torchvision', 'segmentation_models_pytorch', 'huggingface_hub'}"
    program = f"import sys, lightseg.nets; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@every_net
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_logits_have_the_promised_shape(name, channels):
    net = build(name, in_channels=channels)
    x = image(name, net, channels)
    assert net(x).shape == expected_shape(name, x)
    assert net.eval()(x[:1]).shape == expected_shape(name, x[:1])


@every_net
def test_every_parameter_that_is_trained_gets_a_gradient(name):
    net = build(name)
    net(image(name, net)).square().mean().backward()
    assert [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


@every_net
def test_attributes_have_the_promised_types(name):
    net = build(name)
    assert isinstance(net.stride, int)
    assert name in SEGMENTATION or net.stride == 1
    assert net.encoder is None or isinstance(net.encoder, torch.nn.Module)
    assert net.normalization is None


@every_net
def test_head_is_not_in_the_encoder(name):
    few, many = build(name), NETS[name][0](num_classes=7, **NETS[name][1])
    if few.encoder is None:
        pytest.skip("no encoder")
    shapes = [[p.shape for p in net.encoder.parameters()] for net in (few, many)]
    assert shapes[0] == shapes[1]
    inside = {id(p) for p in few.encoder.parameters()}
    assert 0 < len(inside) < len(list(few.parameters()))


@every_net
def test_no_parameter_has_two_names(name):
    net = build(name)
    assert len(net.state_dict()) == len(list(net.named_parameters())) + len(list(net.named_buffers()))


@every_net
def test_state_dict_gives_the_same_logits_bit_for_bit(name):
    net, copy_net = build(name).eval(), build(name)
    x = image(name, net)
    for p in copy_net.parameters():
        torch.nn.init.normal_(p)
    copy_net.load_state_dict(copy.deepcopy(net.state_dict()))
    with torch.no_grad():
        assert torch.equal(net(x), copy_net.eval()(x))
        assert torch.equal(net(x), net(x))


@every_net
def test_building_never_touches_the_network(name, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    build(name)


@every_net
def test_documentation_names_the_source_and_every_argument(name):
    cls = NETS[name][0]
    documented = inspect.getdoc(cls)
    assert "Source:" in documented
    arguments = documented.partition("Args:")[2].partition("Raises:")[0]
    for parameter in list(inspect.signature(cls).parameters):
        assert f"    {parameter}: " in arguments
