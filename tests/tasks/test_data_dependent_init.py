"""Prior bias and class weights that depend on the data, in a training."""

import lightning as L
import pytest
import torch
from torch import nn

import lightseg
from lightseg.data import Shapes
from lightseg.errors import ConfigError
from lightseg.losses.class_weights import class_prior
from lightseg.nets import UNet
from lightseg.optim.schedules import Constant
from lightseg.tasks import SegmentationTask
from lightseg.tasks.transfer import Origin, Target

CLASSIFICATION = """
base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]
data: {init_args: {train_size: 20, val_size: 5, test_size: 5, batch_size: 10, imbalance: 5, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 2, log_every_n_steps: 1}
"""


def _trainer(*callbacks, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    options = {"max_epochs": 1, **options}
    return L.Trainer(accelerator="cpu", enable_model_summary=False, callbacks=list(callbacks), **quiet, **options)


def _shapes(**options):
    return Shapes(**{"image_size": 32, "train_size": 16, "val_size": 2, "batch_size": 4, "num_workers": 0, **options})


def _task(**options):
    torch.manual_seed(0)
    return SegmentationTask(UNet(6, width=4, depth=1), _shapes().classes, schedule=Constant(), **options)


class Start(L.Callback):
    """The bias of the net's head as training starts."""

    def on_train_start(self, trainer, task):
        self.bias = task.net.head.bias.detach().clone()


@pytest.mark.parametrize("loss", ["ce", "sigmoid_focal"])
def test_prior_bias__is_where_training_starts(loss):
    data, start = _shapes(), Start()
    _trainer(start).fit(_task(prior_bias=True, loss=loss), data)
    prior = class_prior(torch.from_numpy(data.class_counts()))
    initial_prior = start.bias.softmax(0) if loss == "ce" else start.bias.sigmoid()
    assert initial_prior.tolist() == pytest.approx(prior.tolist())


def test_prior_bias__classes_of_trained_weights_keep_theirs():
    data, task, start = _shapes(), _task(prior_bias=True), Start()
    state = {**task.net.state_dict(), "head.weight": torch.ones(2, 4, 1, 1), "head.bias": torch.tensor([7.0, 8.0])}
    origin = Origin("best.ckpt", "UNet", state, ["ring", "moon"], 3)
    task.start_from(origin, Target(data.classes, 3, {"head.weight", "head.bias"}))
    _trainer(start).fit(task, data)
    prior = class_prior(torch.from_numpy(data.class_counts()))
    assert start.bias.tolist() == pytest.approx([*prior.log()[:5].tolist(), 7.0])


def test_prior_bias__trained_weights_win():
    data, task = _shapes(), _task(prior_bias=True)
    _trainer().fit(task, data)
    trained = task.net.head.bias.detach().clone()
    prior = class_prior(torch.from_numpy(data.class_counts()))
    assert not torch.allclose(trained.softmax(0), prior.float())

    again = Start()
    _trainer(again).fit(task, data)
    assert torch.equal(again.bias, trained)
    trained = task.net.head.bias.detach().clone()
    _trainer().validate(task, data, verbose=False)
    assert torch.equal(task.net.head.bias, trained)


def test_prior_bias__loaded_weights_are_evaluated_as_they_are():
    trained, other = _task().state_dict(), _task(prior_bias=True)
    trained["net.head.bias"] += 1
    other.load_state_dict(trained)
    _trainer().validate(other, _shapes(), verbose=False)
    assert torch.equal(other.net.head.bias, trained["net.head.bias"])


def test_prior_bias__a_training_that_is_resumed_keeps_what_it_learnt(tmp_path):
    data, task, start = _shapes(), _task(prior_bias=True), Start()
    trainer = _trainer()
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    _trainer(start, max_epochs=2).fit(_task(prior_bias=True), data, ckpt_path=tmp_path / "last.ckpt")
    assert torch.equal(start.bias, task.net.head.bias)


def test_prior_bias__needs_a_net_that_has_one():
    net = nn.Conv2d(3, 6, 1, bias=False)
    with pytest.raises(ConfigError, match=r"model\.prior_bias: the last layer of Conv2d has no bias"):
        SegmentationTask(net, _shapes().classes, prior_bias=True)
    SegmentationTask(net, _shapes().classes)


class Terms(L.Callback):
    """Which loss every batch of the training had."""

    def __init__(self):
        self.seen = []

    def on_train_start(self, trainer, task):
        for name in ("plain", "weighted"):
            loss = getattr(task.loss, name)
            loss.register_forward_hook(lambda *_, name=name: self.seen.append(name) if task.training else None)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_class_weights_from__switches_at_the_step(accumulated):
    terms = Terms()
    task = _task(class_weights="inverse", class_weights_from=0.75)
    _trainer(terms, accumulate_grad_batches=accumulated).fit(task, _shapes())
    assert terms.seen == ["plain"] * 3 * accumulated + ["weighted"] * accumulated


def test_class_weights_from__a_training_that_is_resumed_switches_at_the_same_step(tmp_path):
    task, terms = _task(class_weights="inverse", class_weights_from=0.75), Terms()
    trainer = _trainer(max_epochs=2, limit_train_batches=4)
    trainer.fit_loop.max_epochs = 1
    trainer.fit(task, _shapes())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = _task(class_weights="inverse", class_weights_from=0.75)
    _trainer(terms, max_epochs=2).fit(again, _shapes(), ckpt_path=tmp_path / "last.ckpt")
    # steps 4 to 7 of 8, and 6 is three quarters
    assert terms.seen == ["plain", "plain", "weighted", "weighted"]


class Alone(Shapes):
    """Data that tell the task nothing."""

    def setup(self, stage):
        pass


def test_counts__are_needed_where_the_data_tell_nothing():
    task = _task(logit_adjustment=1.0, mean=[0.5] * 3, std=[0.5] * 3)
    with pytest.raises(ConfigError, match=r"need class counts.*super\(\)\.setup\(stage\)"):
        _trainer().fit(task, Alone(image_size=32, train_size=4, val_size=2, batch_size=4, num_workers=0))


@pytest.mark.parametrize(
    "options",
    [
        ["--model.class_weights=sqrt_inverse", "--model.class_weights_from=0.5", "--model.logit_adjustment=0.5"],
        ["--model.prior_bias=true", "--model.loss", "{ce: 1.0, dice: 1.0}"],
    ],
    ids=["weights and logits", "bias"],
)
@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_fit__trains_with_every_option(fit, recipe, options, kind):
    outcome = fit("--config", recipe() if kind == "segmentation" else recipe(CLASSIFICATION), *options)
    assert outcome.code == 0, outcome.err
    assert outcome.metrics["val/loss"] > 0


def test_fit__a_loaded_checkpoint_keeps_its_trained_bias(fit, recipe):
    outcome = fit("--config", recipe(), "--model.prior_bias", "true", "--trainer.max_epochs", "1")
    task, data = lightseg.load(outcome.folder), _shapes()
    trained = task.net.head.bias.detach().clone()
    start = Start()
    _trainer(start).fit(task.train(), data)
    assert torch.equal(start.bias, trained)
    task = lightseg.load(outcome.folder)
    _trainer().test(task, data, verbose=False)
    assert torch.equal(task.net.head.bias, trained)


def test_fit__an_option_that_cannot_act_is_bad_input(fit, recipe):
    outcome = fit("--config", recipe(), "--model.logit_adjustment", "1.0", "--model.loss", "sigmoid_focal")
    assert outcome.code == 2
    assert "model.logit_adjustment: sigmoid_focal has no softmax to adjust" in outcome.err
