"""Estimate of a training's time and memory."""

import pytest
import torch
from jsonargparse import Namespace

from lightseg.data import Shapes
from lightseg.diagnosis.estimate import TrainingEstimate, estimate, in_words
from lightseg.errors import ConfigError
from lightseg.nets import UNet
from lightseg.tasks import SegmentationTask

OPTIONS = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "accumulate_grad_batches": 1}


def _estimate(batch_size=4, norm="batch", **options):
    data = Shapes(image_size=32, train_size=10, val_size=1, num_workers=0, batch_size=batch_size)
    task = SegmentationTask(UNet(6, width=4, depth=1, norm=norm), data.classes)
    return estimate(task, data, Namespace(**OPTIONS, **options))


@pytest.mark.parametrize(
    ("options", "steps"), [({"max_steps": -1, "max_epochs": 3}, 6), ({"max_steps": 50, "max_epochs": None}, 50)]
)
def test_estimate__steps_of_epochs_or_of_the_recipe(options, steps):
    result = _estimate(**options)
    assert result.steps == steps
    assert result.device == "cpu"
    assert result.parameters == sum(parameter.numel() for parameter in UNet(6, width=4, depth=1).parameters())
    assert result.seconds == pytest.approx(steps * result.step_seconds)
    assert result.gibibytes > 0.1


def test_estimate__one_image_and_batch_norm_is_one_line(monkeypatch):
    def refuse(*_):
        raise ValueError("Expected more than 1 value per channel when training, got input size [1, 4, 1, 1]")

    monkeypatch.setattr(SegmentationTask, "forward", refuse)
    with pytest.raises(ConfigError, match=r"^one image at a time leaves BatchNorm nothing to average; give"):
        _estimate(max_steps=1)


def test_estimate__memory_of_a_gpu_that_does_not_suffice_is_one_line(monkeypatch):
    def refuse(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(SegmentationTask, "forward", refuse)
    with pytest.raises(ConfigError, match=r"^a step on 4 samples does not fit into the memory of the GPU; lower data"):
        _estimate(max_steps=1)


def test_in_words__hours_minutes_and_the_slower_part():
    lines = in_words(TrainingEstimate("cuda", 1_500_000, 0.5, False, 9000, 3.21))
    assert lines == [
        "1.50 M parameters; 0.50 s a step on this cuda, in which the net runs; 9,000 steps take about 1 h 15 min, "
        "and validation comes on top",
        "memory: about 3.2 GiB on the GPU",
    ]
    lines = in_words(TrainingEstimate("cpu", 1_500_000, 0.5, True, 150, 1.0))
    assert "its samples are loaded (more data.num_workers may help); 150 steps take about 1 min 15 s" in lines[0]
    assert lines[1] == "memory: about 1.0 GiB of the process"
