"""Parts of a command line, and its mistakes, before anything is parsed."""

import pytest

from lightseg.cli.argv import (
    option_values,
    require_bounded_value,
    require_known_options,
    split_options,
    text_option,
    trainer_option,
)
from lightseg.errors import ConfigError


def test_option_values__of_both_forms_in_order():
    args = ["-c", "a.yaml", "--config=b.yaml", "--seed", "-c", "--name", "x=y"]
    assert option_values(args, "-c", "--config") == ["a.yaml", "b.yaml", "--name"]
    assert option_values(args, "--name") == ["x=y"]


def test_text_option__the_last_of_recipe_overlay_and_command_line(tmp_path):
    recipe, overlay = tmp_path / "recipe.yaml", tmp_path / "overlay.yaml"
    recipe.write_text("name: first\n")
    overlay.write_text(f"base: [{recipe}]\nname: second\n")
    assert text_option(["-c", str(recipe)], "name") == "first"
    assert text_option(["-c", str(recipe), "-c", str(overlay)], "name") == "second"
    assert text_option(["--name=third", "-c", str(recipe)], "name") == "first"
    assert text_option(["-c", str(recipe), "--name", "third"], "name") == "third"
    assert text_option(["-c", str(recipe)], "runs_dir") is None


def test_text_option__a_number_is_refused(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: 7\n")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: name: must be text, got 7; write it in quotes$"):
        text_option(["-c", str(recipe)], "name")


@pytest.mark.parametrize("value", ["9" * 5000, "!!int x", "[1"])
def test_trainer_option__a_value_that_yaml_cannot_make_is_left_to_the_parser(value):
    assert trainer_option(["--trainer.devices", value], "devices") is None


@pytest.mark.parametrize("start", ["", "--model.loss="])
def test_bounded__aliases_that_multiply_are_refused(start):
    bomb = "[&a [x, x, x, x, x, x, x, x], " + ", ".join(
        f"&{name} [{', '.join([f'*{before}'] * 8)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(ConfigError, match="…"):
        require_bounded_value(f"{start}{bomb}]")
    require_bounded_value(f"{start}{{ce: 1.0, dice: 0.5}}")
    require_bounded_value(f"{start}[no YAML")


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("--modle.loss=ce", "no option 'modle'; did you mean model?"),
        ("--data.batch_size=!!int x", "--data.batch_size=!!int x: the value does not fit its tag; leave the tag out"),
    ],
)
def test_known_options__a_mistake_is_one_line(arg, message):
    with pytest.raises(ConfigError) as raised:
        require_known_options(["--model.loss", "ce", arg])
    assert str(raised.value) == message


def test_known_options__groups_lists_and_help_are_known():
    require_known_options(["--trainer.callbacks+=Timer", "--help", "--data.num_workers", "--model.anything", "-c", "x"])


@pytest.mark.parametrize(
    ("args", "prefix", "expected"),
    [
        (["run", "--data.root", "x", "--out", "y"], "--data.", (["run", "--out", "y"], ["--data.root", "x"])),
        (["--data.root=x", "run"], "--data.", (["run"], ["--data.root=x"])),
        (["run", "--data.root"], "--data.", (["run"], ["--data.root"])),
        (["a", "-n", "1", "b"], "-", (["a", "b"], ["-n", "1"])),
    ],
)
def test_split_options__each_takes_one_value(args, prefix, expected):
    assert split_options(args, prefix) == expected
