"""Encoders of timm: names, arguments, weights and sizes."""

import logging

import pytest
import timm
import torch
from safetensors.torch import save_file

from lightseg.errors import ConfigError
from lightseg.nets.timm_encoder import TimmEncoder, forget_source, image_sides, reference

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_request__random_weights_have_no_normalization():
    request = TimmEncoder.request("resnet18", None, 3, {"drop_rate": 0.1})
    assert request == TimmEncoder("resnet18", {"drop_rate": 0.1}, None)
    assert sum(p.numel() for p in request.build(3, num_classes=0).parameters()) == 11_176_512


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("resnet18.a1_in1k", "imagenet", "resnet18.a1_in1k"),
        ("resnet18", "tv_in1k", "resnet18.tv_in1k"),
        ("resnet18.a1_in1k", "tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_request__the_tag_is_that_of_the_weights(name, weights, expected):
    request = TimmEncoder.request(name, weights, 3)
    assert (request.name, request.weights, request.kwargs) == (expected, expected, {"pretrained": True})
    assert request.normalization == IMAGENET


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet81", None, 3), "^model.net.encoder: timm has no encoder 'resnet81'; did you mean resnet18"),
        (("resnet18.a9_in1k", None, 3), "timm has no weights 'a9_in1k' for resnet18; did you mean a\\d_in1k"),
        (("resnet18", "imagnet", 3), "timm has no weights 'imagnet' for resnet18; did you mean imagenet"),
        (("resnet18", None, 3, {"in_chans": 1, "pretrained": True}), "lightseg itself sets in_chans, pretrained"),
    ],
)
def test_request__a_mistake_is_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TimmEncoder.request(*arguments)


def test_request__a_transformer_takes_any_size_unless_its_size_is_given():
    assert TimmEncoder.request("vit_tiny_patch16_224", None, 3).kwargs == {"dynamic_img_size": True}
    assert TimmEncoder.request("vit_tiny_patch16_224", None, 3, {"img_size": 64}).kwargs == {"img_size": 64}


def test_build__weights_of_a_file_without_the_classifier(tmp_path):
    torch.manual_seed(1)
    source = timm.create_model("resnet18", num_classes=7)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    request = TimmEncoder.request("resnet18", str(tmp_path / "weights.safetensors"), 3)
    model = forget_source(request.build(3, num_classes=0))
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert request.normalization == IMAGENET
    assert "state_dict" not in model.pretrained_cfg


def test_request__weights_of_another_architecture_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match=r"weights\.safetensors"):
        TimmEncoder.request("resnet18", str(tmp_path / "weights.safetensors"), 3)


def test_build__arguments_that_timm_refuses_are_one_line():
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    with pytest.raises(ConfigError, match=r"^timm cannot build resnet18 with \{'nope': 1\}: .*nope") as raised:
        TimmEncoder.request("resnet18", None, 3, {"nope": 1}).build(3)
    assert "\n" not in str(raised.value)
    assert logger.level == level


@pytest.mark.parametrize(
    ("name", "stride", "kwargs", "sides"),
    [
        ("resnet18", 32, {}, (256, 256)),
        ("vit_tiny_patch16_224", 16, {}, (224, 224)),
        ("vit_tiny_patch16_224", 16, {"dynamic_img_size": True}, (128, 128)),
        ("vit_tiny_patch16_224", 16, {"img_size": (32, 64)}, (32, 64)),
    ],
)
def test_image_sides__a_fixed_size_or_a_multiple_of_the_stride(name, stride, kwargs, sides):
    assert image_sides(reference(name, **kwargs), stride, kwargs) == sides


def test_reference__allocates_nothing():
    assert all(parameter.is_meta for parameter in reference("resnet18").parameters())
