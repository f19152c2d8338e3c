"""Weights files in the form of a checkpoint."""

import json

import pytest
import torch
from safetensors.torch import save

from lightseg.checkpoint.safetensors import as_texts, read
from lightseg.errors import UserError

RECIPE = {"classes": ["a", "b"], "mean": [0.5, float("nan")]}


def _write(folder, recipe=RECIPE, **metadata):
    path = folder / "model.safetensors"
    path.write_bytes(save({"weight": torch.arange(3.0)}, as_texts({"recipe": recipe, **metadata})))
    return path


def test_read__recipe_weights_and_temperature(tmp_path):
    checkpoint = read(_write(tmp_path, temperature=1.5))
    assert json.dumps(checkpoint["lightseg"]) == json.dumps(RECIPE)
    assert torch.equal(checkpoint["state_dict"]["weight"], torch.arange(3.0))
    assert checkpoint["temperature"] == 1.5
    assert read(_write(tmp_path))["temperature"] == 1


def test_read__a_file_of_another_program_has_no_recipe(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"weight": torch.zeros(1)}))
    assert read(path) == {}


@pytest.mark.parametrize("content", [b"", b"no weights at all", save({"x": torch.zeros(9)})[:-4]])
def test_read__a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^{path}: damaged or not a checkpoint"):
        read(path)


def test_read__a_temperature_that_is_no_number_is_named(tmp_path):
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        read(_write(tmp_path, temperature="warm"))


def test_read__the_config_beside_it_must_be_its_own(tmp_path):
    path = _write(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"recipe": RECIPE}))
    assert read(path)["lightseg"]["classes"] == ["a", "b"]
    (tmp_path / "config.json").write_text(json.dumps({"recipe": {**RECIPE, "classes": ["b", "a"]}}))
    with pytest.raises(UserError, match=r"config\.json: does not belong to model\.safetensors beside it"):
        read(path)


def test_as_texts__strings_stay_and_the_rest_is_json():
    assert as_texts({"name": "x", "size": [1, 2], "none": None}) == {"name": "x", "size": "[1, 2]", "none": "null"}
