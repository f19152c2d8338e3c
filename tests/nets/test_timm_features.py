import pytest
import timm
from torch import nn

from lightseg.errors import ConfigError
from lightseg.nets.heads import Levels
from lightseg.nets.timm_features import choose_levels, remove_unused


@pytest.mark.parametrize(
    ("name", "indices", "levels"),
    [
        ("test_resnet", [1, 2, 3, 4], Levels((32, 48, 192, 96), (4, 8, 16, 32))),
        ("test_vit", [0, 2, 3, 5], Levels((64,) * 4, (16,) * 4)),
        ("levit_128s", [0, 1, 2], Levels((128, 256, 384), (16, 32, 64))),
    ],
)
def test_choose_levels(name, indices, levels):
    assert choose_levels(timm.create_model(name), name) == (indices, levels)


def test_choose_levels__a_model_without_maps():
    with pytest.raises(ConfigError, match=r"timm \d.* gives no intermediate feature maps of mine"):
        choose_levels(nn.Linear(1, 1), "mine")


def test_remove_unused__the_layers_behind_the_last_map():
    model = timm.create_model("test_efficientnet")
    assert isinstance(model.conv_head, nn.Conv2d)
    remove_unused(model, [1, 2, 3, 4], keeps_norm=False)
    assert not list(model.conv_head.parameters())
    assert not list(model.get_classifier().parameters())
