"""Learning rates by layer, and frozen stages, on the command line and against timm."""

import pytest
import timm
import torch
import yaml
from timm.optim import param_groups_layer_decay

from lightseg.nets import TimmNet
from lightseg.optim.param_groups import param_groups
from lightseg.tasks.fine_tuning import make_layer_decay
from tests.conftest import SEGMENTER, TINY
from tests.helpers.refusal import assert_refused

SMALL = {"img_size": 32, "patch_size": 16, "embed_dim": 8, "depth": 3, "num_heads": 2}


@pytest.mark.parametrize(("encoder", "kwargs"), [("resnet18", {}), ("vit_tiny_patch16_224", SMALL)])
def test_layer_decay__is_that_of_timm(encoder, kwargs):
    net = TimmNet(4, encoder=encoder, kwargs=kwargs)
    model = timm.create_model(encoder, num_classes=4, **{**kwargs, **({"dynamic_img_size": True} if kwargs else {})})
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    expected = {names[item]: group["lr_scale"] for group in groups for item in group["params"]}
    classifier = ("fc.", "head.")
    names = {parameter: name.removeprefix("encoder.") for name, parameter in net.named_parameters()}
    groups = param_groups(net, net.encoder, 1.0, 1.0, make_layer_decay(net, 0.5))
    rates = {names[item]: group["lr_factor"] for group in groups for item in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    assert {name: rate for name, rate in rates.items() if not name.startswith("head.")} == {
        name: rate for name, rate in expected.items() if not name.startswith(classifier)
    }
    assert rates["head.weight"] == 1


def test_fit__freezes_the_first_stages_and_names_it(fit, recipe):
    options = [
        "--model.freeze_stages",
        2,
        "--model.layer_decay",
        0.5,
        "--model.optimizer",
        "AdamW",
        "--model.optimizer.lr",
        0.1,
    ]
    outcome = fit("--config", recipe(SEGMENTER), *options)
    start = next(line for line in outcome.out.splitlines() if line.startswith("Segmenter, "))
    assert "layer_decay 0.5 over 5 layers (lr of the stem x 0.031)" in start
    assert "2 of 5 stages frozen" in start
    first, last = (
        torch.load(outcome.folder / "checkpoints" / name, weights_only=True) for name in ("best.ckpt", "last.ckpt")
    )
    config = yaml.safe_load((outcome.folder / "config.yaml").read_text())
    assert (config["model"]["init_args"]["freeze_stages"], config["model"]["init_args"]["layer_decay"]) == (2, 0.5)
    fresh = TimmNet(6, encoder="test_resnet").state_dict()
    frozen = [
        name for name in fresh if name.startswith(("encoder.stem", "encoder.conv1", "encoder.bn1", "encoder.layer1"))
    ]
    assert any("running_mean" in name for name in frozen)
    for name in frozen:
        assert torch.equal(first["state_dict"][f"net.{name}"], last["state_dict"][f"net.{name}"])
        if "running_mean" in name:
            assert not last["state_dict"][f"net.{name}"].any()
    assert last["state_dict"]["net.encoder.layer4.0.bn1.running_mean"].any()
    rates = {group["name"]: group["lr_factor"] for group in last["optimizer_states"][0]["param_groups"]}
    assert min(rates) == "encoder_layer02"
    assert rates["rest"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.layer_decay", 0.5], ["model.layer_decay", "UNet has no encoder"]),
        (["--model.freeze_stages", 1], ["model.freeze_stages", "UNet has no encoder"]),
        (["--model.layer_decay", 0], ["model.layer_decay", "above 0 and at most 1, got 0.0"]),
        (["--model.freeze_stages", -1], ["model.freeze_stages", "0 or more, got -1"]),
    ],
)
def test_fit__refuses_where_there_are_no_stages(fit, recipe, options, words):
    assert_refused(fit("--config", recipe(TINY), *options), *words)


def test_fit__refuses_more_stages_than_there_are(fit, recipe):
    outcome = fit("--config", recipe(SEGMENTER), "--model.freeze_stages", 6)
    assert_refused(outcome, "model.freeze_stages", "at most 5, the number of stages", "got 6")
