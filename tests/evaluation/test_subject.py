"""Recipes and data blocks that an evaluation cannot use, and what of a run's data goes to other data."""

import pytest
import torch
import yaml

from lightseg.checkpoint.rebuild import build_data
from lightseg.errors import ConfigError, DataError, UserError
from lightseg.evaluation.trained_model import TrainedModel
from lightseg.exporting.metadata import collect_metadata
from tests.inference.models import write_checkpoint

TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "accumulate_grad_batches": 1, "precision": None}


@pytest.fixture
def checkpoint(tmp_path):
    """Write a checkpoint with a config that differs at its top."""

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
def test_of__a_recipe_that_cannot_be_scored(changes, key, checkpoint):
    with pytest.raises(UserError, match=rf"x\.ckpt: its recipe has no {key}, without which"):
        TrainedModel.of(checkpoint(**changes), None)


def test_of__one_that_can(checkpoint):
    assert TrainedModel.of(checkpoint(), None).images_per_pass(8) == 8


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("key", ["data", "seed_everything"])
def test_data_of__a_config_without(key, trust):
    known = {"data": {"class_path": "lightseg.data.Shapes"}, "seed_everything": 0}
    with pytest.raises(UserError, match=f"has no {key}, without which"):
        build_data({**known, key: None}, trust=trust)


@pytest.mark.parametrize("block", [5, [1], {"class_path": "Shapes", "init_args": 5}])
def test_data__a_block_that_is_none(block, checkpoint, tmp_path):
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"data": block}))
    with pytest.raises(ConfigError, match=r"d\.yaml: data: "):
        TrainedModel.of(checkpoint(), None).data(str(tmp_path / "d.yaml"), [])


@pytest.mark.parametrize("block", ["Shapes", {"class_path": "lightseg.data.Shapes"}])
def test_data__options_that_the_class_has_not_stay_behind(block, checkpoint, tmp_path):
    kept = {"batch_size": 2, "value_range": [0, 4095], "nodata": -1.0}
    subject = TrainedModel.of(checkpoint(data={"class_path": "lightseg.data.MaskFolder", "init_args": kept}), None)
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"data": block}))
    # of other classes than the checkpoint's, which are looked at when all else is right
    with pytest.raises(DataError, match=r"data\.classes: they must be those of the checkpoint"):
        subject.data(str(tmp_path / "d.yaml"), [])
    (tmp_path / "e.yaml").write_text(yaml.safe_dump({"data": "MaskFolder"}))
    assert subject._block(str(tmp_path / "e.yaml"))["init_args"] == kept


def test_describe__a_transform_without_options(checkpoint, tmp_path):
    transforms = [{"class_path": "albumentations.ToGray", "init_args": None}]
    file = checkpoint(data={"class_path": "lightseg.data.Shapes", "init_args": {"eval_transforms": transforms}})
    task = TrainedModel.of(file, None).task
    assert collect_metadata(task, tmp_path, file)["eval_transforms"] == ["albumentations.ToGray()"]
