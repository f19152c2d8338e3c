"""Losses by their import path: values by hand, and on the command line."""

import math

import pytest
import torch
from torch import nn

import lightseg
from lightseg.errors import ConfigError, UserError
from lightseg.labels import IGNORE
from lightseg.losses import Dice, build_loss
from lightseg.nets import SimpleCNN
from lightseg.tasks import ClassificationTask
from lightseg.tasks.preflight import try_loss
from tests.helpers.refusal import assert_refused

MY_LOSS = """
import torch
from torch import nn

from lightseg.losses import PixelLoss


class Absolute(PixelLoss):
    def __init__(self, weight=None, scale: float = 1.0):
        super().__init__(weight)
        self.scale = scale

    def per_pixel(self, logits, target):
        return self.scale * (1 - logits.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1))


class Scalar(PixelLoss):
    def per_pixel(self, logits, target):
        return logits.square().mean()


class Bare(PixelLoss):
    def __init__(self):
        pass

    per_pixel = None


class Plain(nn.Module):
    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, target):
        assert logits.ndim == 2 and target.ndim == 1 and (target < logits.shape[1]).all()
        loss = 1 - logits.softmax(1)[torch.arange(len(target)), target]
        results = {"mean": loss.mean(), "none": loss, "number": loss.mean().item()}
        return results[self.reduction]


class Detached(nn.Module):
    def forward(self, logits, target):
        return logits.detach().square().mean()


class Trained(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)


def function(logits, target):
    return logits.sum()
"""
OVERLAY = "base: [tiny.yaml]\nmodel: {init_args: {loss: %s}}\n"


@pytest.fixture(autouse=True)
def _my_loss(own_module):
    own_module("my_loss", MY_LOSS)


def a_batch():
    """Probabilities 0.75 and 0.5 of the true class in two pixels, and a void one without finite logits."""
    logits = torch.tensor([[[0.25, 0.5, 0.5], [0.75, 0.5, 0.5]]]).log()
    logits[0, :, 2] = torch.nan
    return logits.requires_grad_(), torch.tensor([[1, 0, IGNORE]])


@pytest.mark.parametrize("name", ["my_loss.Absolute", "my_loss.Plain"])
def test_build_loss__of_a_path(name):
    logits, target = a_batch()
    loss = build_loss({name: 2.0, "dice": 0.5}, None)(logits, target)
    torch.testing.assert_close(loss, 2.0 * torch.tensor((0.25 + 0.5) / 2) + 0.5 * Dice()(logits, target))
    loss.backward()
    assert logits.grad[0, :, 2].tolist() == [0.0, 0.0]
    assert logits.grad[0, :, :2].all()
    assert build_loss({name: 1.0}, None)(logits, torch.full((1, 3), IGNORE)) == 0


def test_build_loss__of_a_path_with_arguments_and_class_weights():
    logits, target = a_batch()
    loss = build_loss({"my_loss.Absolute": {"scale": 4.0}}, torch.tensor([1.0, 3.0]))
    # weighted by 3 and 1
    torch.testing.assert_close(loss(logits, target), torch.tensor(4 * (3 * 0.25 + 1 * 0.5) / 4))
    plain = build_loss({"torch.nn.CrossEntropyLoss": 1.0}, torch.tensor([1.0, 3.0]))
    expected = nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]), ignore_index=IGNORE)(logits.nan_to_num(), target)
    torch.testing.assert_close(plain(logits, target), expected)


def test_build_loss__integers_of_a_recipe_are_integers():
    logits, target = torch.zeros(1, 2, 3), torch.tensor([[0, 1, 1]])
    loss = build_loss({"torch.nn.CrossEntropyLoss": {"ignore_index": 0.0, "label_smoothing": 0.0}}, None)
    assert loss(logits, target) == pytest.approx(math.log(2))
    margin = build_loss({"torch.nn.MultiMarginLoss": {"p": 2.0, "margin": 3.0}}, None)
    assert margin(logits, target) == pytest.approx(3.0**2 / 2)


def test_build_loss__of_a_subclass_is_a_mean_over_the_step():
    logits, target = a_batch()
    # the step has four times as many pixels as this batch
    counts = torch.tensor([5.0, 3.0])
    torch.testing.assert_close(
        build_loss({"my_loss.Absolute": 1.0}, None)(logits, target, counts), torch.tensor((0.25 + 0.5) / 8)
    )
    torch.testing.assert_close(
        build_loss({"my_loss.Plain": 1.0}, None)(logits, target, counts), torch.tensor((0.25 + 0.5) / 2)
    )


@pytest.mark.parametrize(("reduction", "result"), [("none", r"a tensor of \[2\]"), ("number", "float")])
def test_build_loss__that_returns_no_tensor_of_one_number(reduction, result):
    logits, target = a_batch()
    with pytest.raises(ConfigError, match=rf"my_loss.Plain returns {result}; return a tensor of one number"):
        build_loss({"my_loss.Plain": {"reduction": reduction}}, None)(logits, target)


def test_build_loss__of_a_subclass_that_computes_another_shape():
    message = r"model.loss: Scalar computes values of the shape \[\] instead of \[1, 3\]"
    with pytest.raises(ConfigError, match=message):
        build_loss({"my_loss.Scalar": 1.0}, None)(*a_batch())


@pytest.mark.parametrize(
    ("spec", "weight", "message"),
    [
        ({"my_loss.Trained": 1.0}, None, "my_loss.Trained has parameters"),
        ({"my_loss.function": 1.0}, None, "my_loss.function is no loss; name a subclass"),
        ({"my_loss.Nothing": 1.0}, None, "my_loss.Nothing cannot be imported.*beside the recipe"),
        ({"no_module.Loss": 1.0}, None, "no_module.Loss cannot be imported"),
        ({"my_loss.Bare": 1.0}, None, r"my_loss.Bare: its constructor must call super\(\).__init__\(\) first"),
        ({"my_loss.Plain": {"gamma": 1.0}}, None, "loss my_loss.Plain has no 'gamma'"),
        ({"my_loss.Plain": 1.0}, torch.ones(2), "model.class_weights: loss my_loss.Plain takes none"),
    ],
)
def test_build_loss__refusals(spec, weight, message):
    with pytest.raises(ConfigError, match=message):
        build_loss(spec, weight)


def test_build_loss__of_classes_that_may_overlap():
    message = "my_loss.{} is for classes that exclude each other; take a subclass of LabelLoss or ClassLoss"
    for name in ("Absolute", "Plain"):
        with pytest.raises(ConfigError, match=message.format(name)):
            build_loss({f"my_loss.{name}": 1.0}, None, multilabel=True)
    path = "lightseg.losses.losses.BinaryCrossEntropy"
    with pytest.raises(ConfigError, match="BinaryCrossEntropy is for classes that may overlap"):
        build_loss({path: 1.0}, None)
    logits, target = torch.zeros(1, 2, 3), torch.tensor([[[1, 0, 1], [0, 0, IGNORE]]])
    by_name, by_path = (build_loss({name: 1.0}, None, multilabel=True) for name in ("bce", path))
    assert by_path(logits, target) == by_name(logits, target) > 0


def test_fit__with_a_loss_by_path_needs_trust_to_be_loaded(fit, recipe):
    recipe()
    overlay = recipe(OVERLAY % "{my_loss.Plain: {weight: 0.5, reduction: mean}, ce: 1.0}", "mine.yaml")
    outcome = fit("--config", overlay, "--trainer.accumulate_grad_batches", 2, "--trainer.max_epochs", 1)
    assert outcome.code == 0, outcome.err
    assert "model.loss: my_loss.Plain: is a mean over each batch of a process, not over the step" in outcome.out
    with pytest.raises(UserError, match=r"my_loss\.Plain is not a loss of lightseg, and may run anything"):
        lightseg.load(outcome.folder)
    lightseg.load(outcome.folder, trust=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_loss.Nothing", "my_loss.Nothing cannot be imported"),
        ("my_loss.Detached", "my_loss.Detached: does not depend on the logits, so that nothing would be trained"),
        ("torch.nn.L1Loss", "torch.nn.L1Loss cannot take logits and targets of this task: The size of tensor a (6)"),
    ],
)
def test_fit__a_loss_that_cannot_be_used_is_refused(fit, recipe, tmp_path, name, message):
    recipe()
    assert_refused(fit("--config", recipe(OVERLAY % name, "mine.yaml")), f"model.loss: {message}")
    assert not (tmp_path / "runs").exists()


def test_try_loss__one_that_would_broadcast_the_class_of_a_single_image_is_refused():
    task = ClassificationTask(SimpleCNN(3), ["a", "b", "c"], {"torch.nn.L1Loss": 1.0})
    with pytest.raises(ConfigError, match="torch.nn.L1Loss cannot take logits"):
        try_loss(task, torch.tensor([1]))
