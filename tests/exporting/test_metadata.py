"""Metadata of an exported model."""

import pytest
import torch

from lightseg.evaluation.trained_model import TrainedModel
from lightseg.exporting.metadata import collect_metadata
from tests.inference.models import write_checkpoint

TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "accumulate_grad_batches": 1, "precision": None}


def metadata(tmp_path, channels=3, transforms=None):
    """Return the metadata of a random net."""
    file = write_checkpoint(tmp_path / "x.ckpt", channels=channels)
    content = torch.load(file, weights_only=True)
    data = {"class_path": "lightseg.data.Shapes", "init_args": {"eval_transforms": transforms}}
    content["lightseg"]["config"] |= {"trainer": TRAINER, "data": data}
    torch.save(content, file)
    return collect_metadata(TrainedModel.of(file, None).task, tmp_path, file)


def test_collect_metadata__transform_without_options(tmp_path):
    transforms = [{"class_path": "albumentations.ToGray", "init_args": None}]
    assert metadata(tmp_path, transforms=transforms)["eval_transforms"] == ["albumentations.ToGray()"]


@pytest.mark.parametrize(("channels", "order"), [(3, "channels as in the file (RGB)"), (4, "channels as in the file")])
def test_collect_metadata__channels_of_the_input(tmp_path, channels, order):
    assert metadata(tmp_path, channels)["input"] == f"image: uint8 (N, {channels}, height, width), {order}"
