"""Mixtures of two images: their distribution, their pixels, and what is refused."""

import json

import numpy as np
import pytest
import torch

from lightseg import evaluate
from lightseg.data.transforms.mixing import Mixing, mix_images
from lightseg.errors import ConfigError
from tests.helpers.processes import DDP, wait_for_run
from tests.helpers.refusal import assert_refused

RECIPE = """
base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]
data:
  init_args: {image_size: 32, train_size: 12, val_size: 5, test_size: 5, batch_size: 4, num_workers: 0, cutmix: 1.0}
trainer: {accelerator: cpu, max_epochs: 1}
"""


def draw(mixup, cutmix, count=20000):
    return Mixing(mixup, cutmix).draw(count, np.random.default_rng(0))


def test_draw__mixup_is_a_beta_distribution_without_a_box():
    blend, top, bottom, left, right = draw(0.4, 0).T
    assert (top == bottom).all()
    assert (left == right).all()
    # mean 1/2 and variance 1 / (4 (2 alpha + 1))
    assert blend.mean() == pytest.approx(0.5, abs=0.01)
    assert blend.var() == pytest.approx(1 / (4 * 1.8), abs=0.005)


def test_draw__cutmix_fills_boxes_that_end_at_the_border():
    blend, top, bottom, left, right = draw(0, 1.0).T
    assert (blend == 1).all()
    assert all(((start >= 0) & (start <= end) & (end <= 1)).all() for start, end in ((top, bottom), (left, right)))
    height, width = bottom - top, right - left
    inside = (top > 0) & (bottom < 1) & (left > 0) & (right < 1)
    np.testing.assert_allclose(height[inside], width[inside], atol=1e-6)
    # a box that is not clipped may have any side; a uniform share has a mean of 1/2, and clipping makes boxes smaller
    assert 0.2 < (height * width).mean() < 0.5


def test_draw__both_are_mixed_in_equal_parts():
    mixtures = draw(0.2, 1.0)
    assert (mixtures[:, 0] == 1).mean() == pytest.approx(0.5, abs=0.02)


def test_mix_images__by_hand():
    image = torch.tensor([[[[10, 20, 30, 40], [50, 60, 70, 80]]]], dtype=torch.uint8)
    mixtures = torch.tensor([[0.75, 0.5, 0.5, 0.25, 0.25], [1, 0.5, 1, 0.25, 0.75]])
    mixed, shares = mix_images(image.repeat(2, 1, 1, 1), torch.zeros(2, 1, 2, 4, dtype=torch.uint8), mixtures)
    # 7.5, 22.5, … to the even neighbor
    assert mixed[0, 0].tolist() == [[8, 15, 22, 30], [38, 45, 52, 60]]
    assert mixed[1, 0].tolist() == [[10, 20, 30, 40], [50, 0, 0, 80]]
    assert shares.tolist() == [0.75, 0.75]
    assert mixed.dtype == torch.uint8


def test_mix_images__of_floats_are_not_rounded():
    images, others = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.25)
    mixed, _ = mix_images(images, others, torch.tensor([[0.5, 0, 0, 0, 0]]))
    assert (mixed == 0.375).all()


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf"), 1e30])
def test_mixing__impossible_parameters_are_refused(alpha):
    with pytest.raises(ConfigError, match=r"data.cutmix: the parameter of a beta distribution must be above 0 and at"):
        Mixing(0.2, alpha)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "ShapesLabels"), ["data.cutmix: mix images that have one class each, and here each image has sev"]),
        (("--config", "configs/data/shapes.yaml"), ["data.cutmix: mix images that have one class each, and here each"]),
        (("--model.loss", "{ce: 1.0, dice: 0.5}"), ["dice has no meaning for an image of two classes", "model.loss"]),
        (("--model.loss", "ohem"), ["ohem has no meaning for an image of two classes", "leave them out"]),
        (("--model.loss", "torch.nn.CrossEntropyLoss"), ["torch.nn.CrossEntropyLoss has no meaning"]),
        (("--trainer.overfit_batches", "2"), ["trainer.overfit_batches: no images are mixed then", "data.cutmix"]),
        (("--data.batch_size", "1"), ["data.cutmix: mixes two images of a batch", "data.batch_size"]),
    ],
    ids=lambda value: str(value[-1])[-25:],
)
def test_fit__what_cannot_be_mixed_is_refused(fit, recipe, tmp_path, options, words):
    assert_refused(fit("--config", recipe(RECIPE), *options), *words)
    assert not list(tmp_path.glob("runs/*/*"))


def test_evaluate__has_a_batch_size_of_its_own(fit, call, recipe):
    folder = fit("--config", recipe(RECIPE)).folder
    code, _, err = call(evaluate.main, folder, "--data.batch_size", "1")
    assert code == 0, err


MIXED = ["--data.mixup", "0.2", "--model.class_weights", "[1, 2, 3, 4, 5]", "--trainer.log_every_n_steps", "1"]


def train_losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["train/loss"] for line in lines if "train/loss" in line]


def test_fit__trains_on_mixtures(fit, recipe):
    mixed, plain = (
        fit("--config", recipe(RECIPE), *MIXED, *options).folder
        for options in ((), ("--data.mixup", "0", "--data.cutmix", "0"))
    )
    assert len(train_losses(mixed)) == 3
    assert train_losses(mixed)[0] != train_losses(plain)[0]


@pytest.mark.slow
def test_fit__mixtures_on_two_processes_have_the_loss_of_one(fit, recipe, launch):
    # without batch normalization, which sees the part of a process
    args = ["--config", recipe(RECIPE), "--config", "configs/net/timm.yaml", "--model.net.encoder", "test_vit", *MIXED]
    one = train_losses(fit(*args).folder)
    for options in ([*DDP, "--data.num_workers", "1"], ["--trainer.accumulate_grad_batches", "2"]):
        assert train_losses(wait_for_run(launch(*args, *options))) == pytest.approx(one, rel=1e-5)
