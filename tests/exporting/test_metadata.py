"""Metadata of an exported model."""

import torch

from lightseg.evaluation.trained_model import TrainedModel
from lightseg.exporting.metadata import collect_metadata
from tests.inference.models import write_checkpoint

TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "accumulate_grad_batches": 1, "precision": None}


def test_collect_metadata__transform_without_options(tmp_path):
    transforms = [{"class_path": "albumentations.ToGray", "init_args": None}]
    file = write_checkpoint(tmp_path / "x.ckpt")
    content = torch.load(file, weights_only=True)
    data = {"class_path": "lightseg.data.Shapes", "init_args": {"eval_transforms": transforms}}
    content["lightseg"]["config"] |= {"trainer": TRAINER, "data": data}
    torch.save(content, file)
    task = TrainedModel.of(file, None).task
    assert collect_metadata(task, tmp_path, file)["eval_transforms"] == ["albumentations.ToGray()"]
