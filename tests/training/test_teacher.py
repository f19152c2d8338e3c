"""Trainings that imitate a trained model, on the command line."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
import yaml

import lightseg
from lightseg import compare, diff, export
from lightseg.files.atomic import sha256
from tests.conftest import ROOT
from tests.helpers.processes import DDP, wait_for_run
from tests.helpers.refusal import assert_refused
from tests.helpers.stateful_run import assert_same_run
from tests.inference.models import write_checkpoint

SHAPES = ["background", "circle", "square", "triangle", "star", "ring"]


@pytest.fixture
def teacher(trained, tmp_path):
    """Copy of the run that can be deleted."""
    return shutil.copytree(trained, tmp_path / "shapes" / "first")


def _digest(teacher):
    return sha256(teacher / "checkpoints/best.ckpt")


def test_teacher__is_named_and_recorded_and_not_needed_afterwards(fit, call, recipe, teacher, tmp_path):
    options = ["--config", recipe(), "--trainer.max_epochs", "1", "--model.net.width", "2"]
    outcome = fit(*options, "--model.teacher", teacher, "--model.teacher_temperature", "4")
    assert outcome.code == 0, outcome.err
    name = f"shapes/first (best.ckpt, {_digest(teacher)[:8]})"
    cost = json.loads((teacher / "model.json").read_text())
    assert outcome.out.splitlines()[2] == (
        f"teacher: UNet, {cost['parameters'] / 1e6:.2f} M parameters, {cost['gflops']:.2f} GFLOPs, from {name}; "
        "temperature 4, weight 0.5"
    )
    record = json.loads((outcome.folder / "model.json").read_text())["teacher"]
    assert (record["parameters"], record["gflops"]) == (cost["parameters"], cost["gflops"])
    assert [(member["run"], member["sha256"]) for member in record["members"]] == [("shapes/first", _digest(teacher))]
    content = torch.load(outcome.folder / "checkpoints/best.ckpt", weights_only=True)
    assert content["lightseg"]["teacher"] == record["members"]
    assert content["lightseg"]["config"]["model"]["init_args"]["teacher"] == str(teacher)
    # all weights are those of the small net
    assert content["state_dict"]["net.head.weight"].shape[1] == 2
    assert f"model.teacher: null -> {name}" in call(diff.main, teacher, outcome.folder)[1]
    assert f"teacher {name}" in call(compare.main, teacher, outcome.folder)[1].replace("\n", " ")

    shutil.rmtree(teacher)
    assert lightseg.load(outcome.folder).predict(np.zeros((20, 20, 3), np.uint8)).shape == (20, 20)
    code, _, err = call(
        export.main, outcome.folder, "--format", "safetensors", "--images", "2", "--out", tmp_path / "e"
    )
    assert code == 0, err
    card, digest = (tmp_path / "e/README.md").read_text(), record["members"][0]["sha256"]
    assert f"* It learned from its teacher shapes/first (`best.ckpt`, sha256 `{digest}`)." in card
    assert str(tmp_path) not in card
    assert lightseg.load(tmp_path / "e").classes == SHAPES


@pytest.mark.slow
def test_teacher__changes_the_training_loss_and_not_that_of_a_validation(fit, recipe, trained):
    options = ["--config", recipe(), "--trainer.max_epochs", "1"]
    alone, taught = fit(*options), fit(*options, "--model.teacher", trained)
    assert (alone.code, taught.code) == (0, 0)
    first = [next(row["train/loss"] for row in run.log if "train/loss" in row) for run in (alone, taught)]
    assert abs(first[0] - first[1]) > 1e-3
    # the final scores are those of the net that was loaded again, without its teacher
    best = max((row for row in taught.log if "val/score" in row), key=lambda row: row["val/score"])
    assert taught.metrics["val/loss"] == pytest.approx(best["val/loss"], rel=1e-6)


def test_teacher__of_several_models_and_of_labels(fit, recipe, tmp_path):
    text = """
base: configs/data/shapes_labels.yaml
model: {class_path: MultilabelClassificationTask, init_args: {net: SimpleCNN}}
data: {init_args: {image_size: 32, train_size: 4, val_size: 4, test_size: 4, batch_size: 4, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 1}
"""
    first = fit("--config", recipe(text))
    assert first.code == 0, first.err
    classes = lightseg.load(first.folder).classes
    other = write_checkpoint(
        tmp_path / "b.ckpt", "MultilabelClassificationTask", "lightseg.nets.SimpleCNN", names=classes
    )
    second = fit("--config", recipe(text), "--model.teacher", f"{first.folder}+{other}")
    assert second.code == 0, second.err
    assert "teacher: SimpleCNN + SimpleCNN, " in second.out
    assert "+ b.ckpt (b.ckpt, " in second.out


def _write(tmp_path, **options):
    return write_checkpoint(tmp_path / "teacher.ckpt", **{"names": SHAPES, **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": [*SHAPES[1:], "moon"]}, ["lacks the class background and has the class moon"]),
        ({"channels": 4}, ["teacher.ckpt: it takes 4 channels, and the data has 3"]),
        (
            {"task": "ClassificationTask", "net": "lightseg.nets.SimpleCNN"},
            ["is for classification, not for segmentation"],
        ),
        (
            {"image_values": {"ranges": [[0.0, 9.0]]}},
            ["teacher.ckpt: it was trained on images with ranges [[0.0, 9.0]], and the data has values as stored"],
        ),
    ],
    ids=["classes", "channels", "kind", "values"],
)
def test_teacher__that_does_not_fit_is_refused(fit, recipe, tmp_path, options, words):
    file = _write(tmp_path, **options)
    assert_refused(fit("--config", recipe(), "--model.teacher", file), "model.teacher: ", *words)
    assert not list(tmp_path.glob("runs/tiny/*"))


FIXED_NET = """
import torch
from torch import nn


class Fixed(nn.Module):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(num_classes, 32, 32))

    def forward(self, images):
        return images[:, :1] + self.bias
"""


@pytest.mark.slow
def test_teacher__of_a_net_of_ones_own_needs_trust(fit, recipe, own_module, tmp_path):
    own_module("fixed", FIXED_NET)
    first = fit("--config", recipe(), "--model.net", "fixed.Fixed", "--trainer.max_epochs", "1")
    assert first.code == 0, first.err
    options = ["--config", recipe(), "--trainer.max_epochs", "1", "--model.teacher", first.folder]
    assert_refused(fit(*options), "model.teacher: ", "fixed.Fixed is not a class of lightseg", "--trust")
    second = fit(*options, "--trust")
    assert second.code == 0, second.err
    assert f"lightseg: trusted: {first.folder}/checkpoints/best.ckpt runs fixed.Fixed" in second.err
    assert "trust" not in yaml.safe_load((second.folder / "config.yaml").read_text())


def test_teacher__that_cannot_take_the_images_is_refused(fit, recipe, tmp_path):
    net = {"net": "lightseg.nets.TimmNet", "encoder": "test_vit", "kwargs": {"img_size": 64, "dynamic_img_size": False}}
    file = _write(tmp_path, task="ClassificationTask", names=SHAPES[1:], **net)
    text = """
base: configs/data/shapes_classification.yaml
model: {class_path: ClassificationTask, init_args: {net: SimpleCNN}}
data: {init_args: {image_size: 32, train_size: 5, val_size: 5, test_size: 5, batch_size: 5, num_workers: 0}}
"""
    outcome = fit("--config", recipe(text), "--model.teacher", file)
    assert_refused(outcome, f"model.teacher: {file}: TimmNet cannot take images of [3, 32, 32]")


def test_teacher__alone_is_refused_beside_options_of_the_loss(fit, recipe, tmp_path):
    options = ["--model.teacher", _write(tmp_path), "--model.teacher_weight", "1", "--model.logit_adjustment", "1"]
    assert_refused(fit("--config", recipe(), *options), "model.teacher_weight: 1 trains by the teacher alone")


def test_teacher__options_without_one_are_refused(fit, recipe):
    outcome = fit("--config", recipe(), "--model.teacher_weight", "0.9")
    assert_refused(outcome, "model.teacher_weight: change nothing without a teacher; give model.teacher")


@pytest.fixture
def crash(crashing_recipe, monkeypatch, fit, teacher):
    """Train with a teacher, and crash where the test says."""

    def run(moment):
        monkeypatch.setenv("CRASH", moment)
        outcome = fit("--config", crashing_recipe, "--trainer.max_epochs", "1", "--model.teacher", teacher)
        monkeypatch.delenv("CRASH")
        return outcome

    return run


@pytest.mark.slow
def test_resume__gives_what_the_whole_run_gives(fit, crash, teacher, trained, tmp_path):
    reference, crashed = crash("never:1"), crash("on_train_batch_end:3")
    assert (reference.code, crashed.code) == (0, 1)
    folder = crashed.folder
    best = teacher / "checkpoints/best.ckpt"
    shutil.copy(teacher / "checkpoints/last.ckpt", best)
    is_other = "is not the model that the run started with (shapes/first (best.ckpt, "
    assert_refused(fit("--resume", folder), "model.teacher: ", is_other, "bring it back")
    assert_refused(fit("--resume", folder, "--model.teacher", "null"), "model.teacher: None: ", is_other)
    shutil.rmtree(teacher)
    assert_refused(fit("--resume", folder), "model.teacher: ", "no checkpoint found")
    moved = shutil.copytree(trained, tmp_path / "moved")
    resumed = fit("--resume", folder, "--model.teacher", moved)
    assert resumed.code == 0, resumed.err
    assert "goes on with another model.teacher: " in resumed.out
    assert_same_run(folder, reference.folder)


@pytest.mark.slow
def test_resume__after_a_kill(launch, fit, crashing_recipe, trained, tmp_path):
    options = ["--config", crashing_recipe, "--trainer.max_epochs", "2", "--model.teacher", trained]
    reference = fit(*options)
    killed = launch(*options, "--name", "killed", CRASH="on_before_backward:6", CRASH_BY="kill")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob("runs/killed/*")
    wait_for_run(launch("--resume", folder))
    assert_same_run(folder, reference.folder)


PLAIN_NET = """
from torch import nn


class Plain(nn.Sequential):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, num_classes, 1))
"""
# its corners are void, in another number of pixels of each image
ROTATE = "[{class_path: albumentations.Rotate, init_args: {p: 0.5}}]"


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--trainer.accumulate_grad_batches", "2"]], ids=["one", "accumulated"])
def test_processes__train_what_one_does(fit, launch, recipe, own_module, trained, options):
    own_module("plain", PLAIN_NET)
    options = ["--config", recipe(), "--model.net", "plain.Plain", "--data.train_transforms", ROTATE, *options]
    options += ["--model.optimizer", "SGD", "--model.optimizer.lr", "0.1", "--model.teacher", trained]
    alone = fit(*options)
    assert alone.code == 0, alone.err
    folder = wait_for_run(launch(*options, *DDP, "--name", "two"))
    states = [
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (alone.folder, folder)
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_fsdp__keeps_the_teacher_whole(launch, recipe, trained):
    fsdp = ["--config", ROOT / "configs/hardware/fsdp.yaml", "--trainer.devices", "2", "--trainer.max_epochs", "1"]
    folder = wait_for_run(launch("--config", recipe(), "--model.teacher", trained, *fsdp))
    assert (folder / "metrics.json").exists()


@pytest.mark.bf16
def test_teacher__in_mixed_precision_with_averages(fit, recipe, trained):
    options = ["--trainer.max_epochs", "1", "--trainer.precision", "bf16-mixed", "--trainer.callbacks", "EMA"]
    outcome = fit("--config", recipe(), "--model.teacher", trained, *options)
    assert outcome.code == 0, outcome.err
