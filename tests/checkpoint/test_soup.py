"""Mean of the weights of several checkpoints, and which of them have one."""

import pytest
import torch

import lightseg
from lightseg.checkpoint.soup import average_weights
from lightseg.errors import ConfigError
from tests.inference.models import write_checkpoint


def load_all(files):
    return [lightseg.load(file) for file in files], [file.name for file in files]


def test_average_weights__arithmetic_mean(tmp_path):
    files = [write_checkpoint(tmp_path / f"{number}.ckpt") for number in range(3)]
    states = []
    for number, file in enumerate(files):
        content = torch.load(file, weights_only=True)
        generator = torch.Generator().manual_seed(number)
        state = {
            name: torch.rand(value.shape, generator=generator)
            if name.startswith("net.") and value.is_floating_point()
            # of another number of batches
            else value + number * (value.dtype == torch.int64)
            for name, value in content["state_dict"].items()
        }
        torch.save({**content, "state_dict": state, "temperature": 2.0}, file)
        states.append(state)
    soup = average_weights(*load_all(files))
    for name, value in soup.state_dict().items():
        members = [state[name] for state in states]
        expected = sum(member.double() for member in members) / 3 if value.is_floating_point() else members[0]
        torch.testing.assert_close(value.double(), expected.double(), rtol=1e-6, atol=1e-7)
    assert soup.temperature == 1


def test_average_weights__thresholds(tmp_path):
    files = [write_checkpoint(tmp_path / f"{number}.ckpt", "MultilabelSegmentationTask") for number in range(2)]
    tasks, names = load_all(files)
    tasks[1].set_thresholds([0.25, 0.5, 0.75])
    assert average_weights(tasks, names).thresholds.tolist() == [0.375, 0.5, 0.625]


def test_average_weights__other_architecture_is_refused(tmp_path):
    files = [write_checkpoint(tmp_path / f"{width}.ckpt", width=width) for width in (4, 6)]
    with pytest.raises(ConfigError, match=r"^--soup: 6.ckpt has another model.net than 4.ckpt; weights are averaged"):
        average_weights(*load_all(files))


def test_average_weights__other_normalization_is_refused(tmp_path):
    files = [write_checkpoint(tmp_path / f"{number}.ckpt") for number in range(2)]
    tasks, names = load_all(files)
    tasks[1].mean += 0.1
    with pytest.raises(ConfigError, match=r"^--soup: 1.ckpt has another normalization than 0.ckpt"):
        average_weights(tasks, names)
