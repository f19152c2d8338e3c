"""Composition of recipes: files, flags, swapped classes and their defaults."""

import json

import pytest

from lightseg.cli.lightning_cli import LightsegCLI

SHAPES = "base: [configs/data/shapes.yaml, configs/net/unet.yaml]\n"


def test_net__is_swapped_by_one_flag(recipe):
    cli = LightsegCLI(["--config", str(recipe()), "--model.net", "FCN", "--model.net.encoder", "resnet10t"])
    assert type(cli.model.net).__name__ == "FCN"
    assert cli.model.net(__import__("torch").zeros(1, 3, 64, 64)).shape == (1, 6, 64, 64)


def test_net__is_swapped_by_a_block_on_the_command_line(recipe):
    cli = LightsegCLI(["--config", str(recipe()), "--config", "configs/net/fcn.yaml"])
    assert type(cli.model.net).__name__ == "FCN"


def test_net__is_swapped_by_one_line_of_yaml(recipe):
    text = SHAPES + "model: {init_args: {net: {class_path: SmpNet, init_args: {encoder: resnet18}}}}"
    cli = LightsegCLI(["--config", str(recipe(text))])
    assert type(cli.model.net).__name__ == "SmpNet"


def test_composition__later_files_and_flags_win(recipe):
    first = recipe(SHAPES + "model: {init_args: {net: {init_args: {width: 6}}}}", "first.yaml")
    second = recipe("model: {init_args: {net: {init_args: {width: 8}}}}", "second.yaml")
    both = ["--config", str(first), "--config", str(second)]
    assert LightsegCLI(both).config.model.init_args.net.init_args.width == 8
    assert LightsegCLI([*both, "--model.net.width", "10"]).config.model.init_args.net.init_args.width == 10


def test_composition__an_option_before_the_file_that_names_its_class(fit, recipe):
    outcome = fit("--model.net.width", "10", "--config", recipe())
    assert outcome.code == 2
    assert "model.net.width: belongs to a class that is not known yet" in outcome.err


def test_composition__one_key_on_top_of_a_block_in_the_same_file(recipe):
    text = SHAPES + "model: {init_args: {loss: dice}}"
    init_args = LightsegCLI(["--config", str(recipe(text))]).config.model.init_args
    assert (init_args.loss, init_args.net.class_path) == ("dice", "lightseg.nets.UNet")


@pytest.mark.parametrize(
    ("swap", "expected"),
    [
        (["--model.optimizer", "Adam"], {"weight_decay": 0}),
        (["--model.optimizer", "SGD", "--model.optimizer.lr", "0.5"], {"weight_decay": 0, "lr": 0.5}),
    ],
)
def test_composition__no_default_of_one_class_reaches_another(recipe, swap, expected):
    cli = LightsegCLI(["--config", str(recipe(SHAPES)), *swap])
    options = cli.config.model.init_args.optimizer.init_args
    assert {name: options[name] for name in expected} == expected


def test_composition__a_swapped_schedule_has_its_own_defaults(recipe):
    cli = LightsegCLI(["--config", str(recipe(SHAPES)), "--model.schedule", "OneCycle"])
    assert cli.config.model.init_args.schedule.init_args.final == 1e-4
    cli = LightsegCLI(["--config", str(recipe(SHAPES)), "--model.schedule", "Constant"])
    assert cli.config.model.init_args.schedule.init_args.warmup == 0


def test_composition__null_on_the_command_line_is_nothing(recipe):
    text = "base: [configs/data/shapes.yaml, configs/net/fcn.yaml]"
    cli = LightsegCLI(["--config", str(recipe(text)), "--model.net.encoder", "null"])
    assert cli.config.model.init_args.net.init_args.encoder is None


def test_build__a_value_of_any_type_calls_no_function(fit, recipe, own_module, tmp_path):
    own_module("marker", "def leave(path: str) -> float:\n    open(path, 'w').close()\n    return 0.5\n")
    function = {"class_path": "marker.leave", "init_args": {"path": str(tmp_path / "called")}}
    flip = {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": function}}
    outcome = fit("--config", recipe(f"{SHAPES}data: {{init_args: {{train_transforms: [{json.dumps(flip)}]}}}}\n"))
    assert outcome.code == 2
    assert "data.train_transforms: HorizontalFlip(): p: " in outcome.err
    assert not (tmp_path / "called").exists()
