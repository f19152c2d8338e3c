"""Recipes and data that an evaluation refuses, and the options that other data inherits."""

import pytest
import torch
import yaml

from lightseg.errors import ConfigError, DataError, UserError
from lightseg.evaluation.trained_model import TrainedModel
from tests.inference.models import write_checkpoint

TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "accumulate_grad_batches": 1, "precision": None}


@pytest.fixture
def checkpoint(tmp_path):
    """Return a function that writes a checkpoint with changed top-level keys of its config."""

    def write(**changes):
        file = write_checkpoint(tmp_path / "x.ckpt")
        content = torch.load(file, weights_only=True)
        content["lightseg"]["config"] |= {"trainer": TRAINER, **changes}
        torch.save(content, file)
        return file

    return write


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": None}, "data"),
        ({"seed_everything": None}, "seed_everything"),
        ({"trainer": {"max_epochs": 1}}, "trainer.accelerator"),
        ({"trainer": {**TRAINER, "num_nodes": None}}, "trainer.num_nodes"),
        ({"trainer": {**TRAINER, "accumulate_grad_batches": None}}, "trainer.accumulate_grad_batches"),
    ],
)
def test_of__recipe_without_a_required_key(changes, key, checkpoint):
    with pytest.raises(UserError, match=rf"x\.ckpt: its recipe has no {key}, without which"):
        TrainedModel.of(checkpoint(**changes), None)


def test_of__complete_recipe(checkpoint):
    assert TrainedModel.of(checkpoint(), None).images_per_pass(8) == 8


@pytest.mark.parametrize("block", [5, [1], {"class_path": "Shapes", "init_args": 5}])
def test_data__invalid_block(block, checkpoint, tmp_path):
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"data": block}))
    with pytest.raises(ConfigError, match=r"d\.yaml: data: "):
        TrainedModel.of(checkpoint(), None).data(str(tmp_path / "d.yaml"), [])


@pytest.mark.parametrize("block", ["Shapes", {"class_path": "lightseg.data.Shapes"}])
def test_data__inherits_only_options_of_the_class(block, checkpoint, tmp_path):
    options = {"batch_size": 2, "value_range": [0, 4095], "nodata": -1.0}
    model = TrainedModel.of(checkpoint(data={"class_path": "lightseg.data.MaskFolder", "init_args": options}), None)
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"data": block}))
    # the classes differ from the checkpoint's, which is checked last
    with pytest.raises(DataError, match=r"data\.classes: they must be those of the checkpoint"):
        model.data(str(tmp_path / "d.yaml"), [])
    (tmp_path / "e.yaml").write_text(yaml.safe_dump({"data": "MaskFolder"}))
    assert model._block(str(tmp_path / "e.yaml"))["init_args"] == options
