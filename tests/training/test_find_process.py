"""Searches of `--find`, in this process."""

import numpy as np
import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.errors import ConfigError
from lightseg.training.find_process import HIGHEST, LOWEST, STEPS, choose_rate, find_batch_size, find_rate

RATES = np.geomspace(LOWEST, HIGHEST, STEPS).tolist()


def test_rate__where_a_noisy_loss_falls_fastest():
    # the logistic curve is steepest at its center, 1e-2; at 1 the loss diverges
    position = np.log10(RATES)
    losses = 2 - 1.5 / (1 + np.exp(-3 * (position + 2))) + np.random.default_rng(0).normal(0, 0.05, STEPS)
    losses[position > 0.3] = np.nan
    finding = choose_rate(RATES, losses.tolist())
    assert finding.value == pytest.approx(1e-2, rel=0.4)
    assert len(finding.curve) == (position <= 0.3).sum()


@pytest.mark.parametrize("seed", range(3))
def test_rate__of_a_loss_that_does_not_fall_is_an_error(seed):
    losses = np.random.default_rng(seed).normal(1, 0.1, STEPS).tolist()
    with pytest.raises(ConfigError, match="--find lr: the loss falls at no learning rate from 1e-06 to 10"):
        choose_rate(RATES, losses)
    with pytest.raises(ConfigError, match="falls at no learning rate"):
        choose_rate(RATES[:3], [1.0, 0.5, float("nan")])


FACTOR_NET = """
from torch import nn


class FactorNet(nn.Module):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__()
        self.encoder, self.last = nn.Conv2d(in_channels, 4, 1), nn.Conv2d(4, num_classes, 1)

    def forward(self, images):
        return self.last(self.encoder(images).relu())
"""

RECIPE = """
base: [configs/data/shapes.yaml]
model:
  class_path: SegmentationTask
  init_args:
    net: {class_path: NET}
data:
  init_args: {image_size: 16, train_size: 12, val_size: 2, test_size: 2, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 1}
"""


def test_range_test__rises_in_each_group_by_its_factor(recipe, own_module):
    own_module("factor_net", FACTOR_NET)
    path = recipe(RECIPE.replace("NET", "factor_net.FactorNet"))
    cli = LightsegCLI([f"--config={path}", "--model.encoder_lr_factor=0.1"])
    steps = []

    def record(optimizer, *_):
        steps.append({group["lr_factor"]: group["lr"] for group in optimizer.param_groups})

    hook = register_optimizer_step_pre_hook(record)
    finding = find_rate(cli, 2, None)
    hook.remove()
    rates = [rate for rate, _ in finding.curve]
    assert rates == pytest.approx(RATES[: len(rates)])
    assert rates[0] < finding.value < rates[-1]
    # the first of them are those that try optimizer and schedule
    steps = steps[-cli.model.trainer.global_step :]
    assert [step[1.0] for step in steps] == pytest.approx(RATES[: len(steps)])
    assert [step[0.1] for step in steps] == pytest.approx([0.1 * rate for rate in RATES[: len(steps)]])
    # the share of each of two processes
    assert cli.model.trainer.accumulate_grad_batches == 2


LIMITED_NET = """
import torch
from torch import nn


class LimitedNet(nn.Module):
    def __init__(self, num_classes: int, in_channels: int = 3, images: int = 5):
        super().__init__()
        self.last, self.images = nn.Conv2d(in_channels, num_classes, 1), images

    def forward(self, images):
        if len(images) > self.images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.last(images)
"""


@pytest.mark.parametrize(
    ("images", "processes", "accumulated", "value", "reason"),
    [
        # 90 % of 7 images, rounded down
        (7, 1, 1, 6, "90 % of 7, the largest that fits the memory"),
        # 90 % of 4 for each of two processes
        pytest.param(4, 1, 2, 6, "90 % of 8, the largest that fits the memory", marks=pytest.mark.slow),
        # six for each of two processes
        pytest.param(9, 2, 1, 12, "all training images fit the memory at once", marks=pytest.mark.slow),
    ],
)
def test_batch_size__is_the_largest_of_a_step_that_fits(
    recipe, own_module, images, processes, accumulated, value, reason
):
    own_module("limited_net", LIMITED_NET)
    path = recipe(RECIPE.replace("NET", "limited_net.LimitedNet"))
    options = [f"--model.net.images={images}", f"--trainer.accumulate_grad_batches={accumulated}"]
    finding = find_batch_size(LightsegCLI([f"--config={path}", *options]), processes, None)
    assert (finding.value, finding.reason) == (value, reason)


MIXED = """
base: configs/data/shapes_classification.yaml
model:
  class_path: ClassificationTask
  init_args:
    net: {class_path: TimmNet, init_args: {encoder: test_resnet}}
    class_weights: inverse
    class_weights_from: 0.9
    freeze_encoder: 0.9
    schedule: {class_path: torch.optim.lr_scheduler.ReduceLROnPlateau}
data: {init_args: {image_size: 32, train_size: 5, val_size: 5, test_size: 5, mixup: 0.5, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 20}
"""


def test_batch_size__of_options_that_a_short_trial_has_no_room_for(recipe):
    cli = LightsegCLI([f"--config={recipe(MIXED)}"])
    assert find_batch_size(cli, 1, None).value == 5
    assert cli.model.trainer.optimizers[0].state.keys() == {*cli.model.net.parameters()}


def test_batch_size__not_even_one_image_fits(recipe, own_module):
    own_module("limited_net", LIMITED_NET.replace("len(images) >", "self.training and len(images) >"))
    cli = LightsegCLI([f"--config={recipe(RECIPE.replace('NET', 'limited_net.LimitedNet'))}", "--model.net.images=0"])
    with pytest.raises(ConfigError, match="not even one image for each process fits the memory"):
        find_batch_size(cli, 1, None)
