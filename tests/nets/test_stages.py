"""Depths of an encoder's parameters."""

import pytest
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets import FCN, SmpNet, TimmNet, UNet
from lightseg.nets.stages import encoder_depths

CUSTOM = {"stem.weight": 0, "stem.bias": 0, "blocks.0.weight": 1, "blocks.0.bias": 1}


class OwnEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.blocks = nn.Linear(2, 2), nn.ModuleList([nn.Linear(2, 2)])

    def group_matcher(self, coarse=False):
        return {"stem": r"^stem", "blocks": r"^blocks\.(\d+)"}


class OwnNet(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(2, 2)


def stages_of(net):
    """The depth of each of the encoder's parts, named by the first words of its parameters."""
    depths = encoder_depths(net, "model.freeze_stages", coarse=True)
    assert depths.keys() == {name for name, _ in net.named_parameters() if name.startswith("encoder.")}
    return depths


def test_encoder_depths__of_a_model_of_timm():
    depths = stages_of(TimmNet(2, encoder="resnet18"))
    assert depths["encoder.conv1.weight"] == depths["encoder.bn1.bias"] == 0
    assert depths["encoder.layer1.0.conv1.weight"] == 1
    assert depths["encoder.layer4.1.bn2.bias"] == 4


@pytest.mark.parametrize(
    "net", [lambda: SmpNet(2, encoder="tu-convnext_atto"), lambda: FCN(2, encoder="convnext_atto")]
)
def test_encoder_depths__of_its_feature_maps(net):
    depths = stages_of(net())
    last = {depth for name, depth in depths.items() if "stages_3.blocks.1." in name}
    assert ({depth for name, depth in depths.items() if "stem_0" in name}, last) == ({0}, {4})


def test_encoder_depths__of_fewer_layers_than_the_complete_model_are_consecutive():
    small = {"depths": [1, 1, 1, 1], "dims": [4, 4, 4, 4]}
    depths = encoder_depths(FCN(2, encoder="convnext_atto", kwargs=small), "model.layer_decay")
    assert {name.split(".")[1]: depth for name, depth in depths.items()} == {
        "stem_0": 0,
        "stem_1": 0,
        **{f"stages_{stage}": stage + 1 for stage in range(4)},
    }


def test_encoder_depths__of_a_plain_trunk():
    assert set(stages_of(FCN(2, width=2)).values()) == {0, 1, 2, 3, 4}


def test_encoder_depths__of_a_custom_encoder():
    assert encoder_depths(OwnNet(OwnEncoder()), "x") == {f"encoder.{name}": depth for name, depth in CUSTOM.items()}


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: UNet(2, width=2, depth=1), "model.layer_decay: UNet has no encoder"),
        (lambda: SmpNet(2, encoder="resnet18"), "SmpNet, ResNetEncoder, are unknown.*prefix tu-"),
        (lambda: OwnNet(nn.Linear(2, 2)), "OwnNet, Linear, are unknown"),
        # timm does not know the layers of this one
        (lambda: TimmNet(2, encoder="csatv2"), "TimmNet, CSATv2, are unknown"),
    ],
)
def test_encoder_depths__refuses_what_has_none(net, message):
    with pytest.raises(ConfigError, match=message):
        encoder_depths(net(), "model.layer_decay")
