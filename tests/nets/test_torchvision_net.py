import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.nets import TorchvisionNet

FAMILIES = {
    "alexnet": 64,
    "convnext_tiny": 64,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "googlenet": 64,
    "inception_v3": 75,
    "mnasnet0_5": 64,
    "regnet_y_400mf": 64,
    "resnet18": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_0": 64,
    "swin_t": 64,
    "vgg11": 64,
}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", FAMILIES)
def test_families(encoder):
    net = TorchvisionNet(5, in_channels=4, encoder=encoder)
    x = torch.rand(2, 4, FAMILIES[encoder], FAMILIES[encoder])
    logits = net(x)
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert [key for key, p in net.named_parameters() if p.grad is None] == []
    assert net.eval()(x[:1]).shape == (1, 5)


def test_auxiliary_classifiers_are_gone():
    net = TorchvisionNet(5, encoder="googlenet")
    assert not [key for key in net.state_dict() if "aux" in key]
    assert net.train()(torch.rand(2, 3, 64, 64)).shape == (2, 5)


def test_arguments_reach_torchvision():
    net = TorchvisionNet(5, encoder="mobilenet_v3_small", kwargs={"dropout": 0.75})
    assert 0.75 in [m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)]


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"encoder": "alexnett"}, "did you mean alexnet"),
        ({"encoder": "fcn_resnet50"}, "no classifier"),
        ({"encoder_weights": "imagnet"}, "did you mean imagenet"),
        ({"kwargs": {"nope": 1}}, "torchvision cannot build alexnet.*nope"),
        (
            {"encoder": "vit_b_16", "kwargs": {"image_size": 225}},
            "vit_b_16 with {'image_size': 225}: Input",
        ),
    ],
)
def test_refusals(kwargs, match):
    with pytest.raises(ConfigError, match=match):
        TorchvisionNet(5, **kwargs)
