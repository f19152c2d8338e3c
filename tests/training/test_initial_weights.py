"""Trainings that start from the weights of a trained model, on the command line."""

import hashlib
import json
import os
import shutil

import pytest
import torch

import lightseg
from lightseg import compare, diff
from tests.conftest import ROOT, TINY
from tests.helpers.processes import DDP, wait_for_run
from tests.helpers.refusal import assert_refused
from tests.helpers.stateful_run import DROPOUT_NET, assert_same_run
from tests.helpers.train import train

MEAN, STD = [0.25, 0.5, 0.75], [0.25, 0.5, 0.125]

MORE_SHAPES = """
import numpy as np
from lightseg.data import ImageDataset, Shapes


class Wrapped(ImageDataset):
    def __init__(self, dataset, ids):
        self.dataset, self.ids = dataset, ids

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        image, mask = self.dataset[index]
        return np.concatenate([image, image[..., :1]], 2), self.ids[mask]

    def name(self, index):
        return self.dataset.name(index)

    def fingerprint(self):
        return self.dataset.fingerprint()


class MoreShapes(Shapes):
    in_channels = 4
    classes = ["moon", "ring", "circle", "background", "cross", "square", "star"]

    def make_dataset(self, split):
        ids = np.full(256, 255, np.uint8)
        ids[:6] = [self.classes.index(name) if name in self.classes else 255 for name in super().classes]
        return Wrapped(super().make_dataset(split), ids)
"""

SAVE_START = """
import pathlib
import lightning as L
import torch


class SaveStart(L.Callback):
    def setup(self, trainer, task, stage):
        folder = pathlib.Path(__file__).parent
        torch.save(task.state_dict(), folder / f"start{trainer.global_rank}.pt")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run that no test changes."""
    options = ["--trainer.max_epochs", "1", "--model.mean", str(MEAN), "--model.std", str(STD)]
    return train(tmp_path_factory.mktemp("trained"), TINY, *options)


@pytest.fixture
def origin(trained, tmp_path):
    """A copy of it that can be deleted."""
    return shutil.copytree(trained, tmp_path / "shapes" / "first")


@pytest.fixture
def save_start(own_module):
    own_module("save_start", SAVE_START)
    return ["--trainer.callbacks", "save_start.SaveStart"]


def _state(file):
    return torch.load(file, weights_only=True)["state_dict"]


def test_init__other_classes_channels_and_size(fit, recipe, origin, own_module, save_start, tmp_path):
    own_module("more_shapes", MORE_SHAPES)
    options = ["--data", "more_shapes.MoreShapes", "--data.image_size", "48", "--data.train_size", "12"]
    options += ["--data.val_size", "2", "--data.test_size", "2", "--data.batch_size", "4", "--data.num_workers", "0"]
    recipe_text = TINY.replace("configs/data/shapes.yaml, ", "").partition("data:")[0]
    recipe_text += "trainer: {accelerator: cpu, max_epochs: 1}"
    outcome = fit("--config", recipe(recipe_text), *options, "--model.init", origin, *save_start)
    assert outcome.code == 0, outcome.err

    before, start = _state(origin / "checkpoints/best.ckpt"), torch.load(tmp_path / "start0.pt", weights_only=True)
    old = ["background", "circle", "square", "triangle", "star", "ring"]
    for name in ("net.head.weight", "net.head.bias"):
        rows = [before[name][old.index(shape)] for shape in ("ring", "circle", "background", "square", "star")]
        assert torch.equal(start[name][[1, 2, 3, 5, 6]], torch.stack(rows))
    assert start["net.head.bias"][[0, 4]].tolist() == [0, 0]
    stem = before["net.down.0.0.weight"]
    assert torch.equal(start["net.down.0.0.weight"], torch.cat([stem, stem[:, :1]], 1) * 0.75)
    assert torch.equal(start["net.up.1.0.weight"], before["net.up.1.0.weight"])
    assert torch.equal(start["net.down.0.1.running_var"], before["net.down.0.1.running_var"])
    assert start["mean"].flatten().tolist() == [*MEAN, MEAN[0]]
    assert start["std"].flatten().tolist() == [*STD, STD[0]]

    assert outcome.out.splitlines()[2] == (
        f"init: 56 of 56 tensors from {origin}/checkpoints/best.ckpt; 3 -> 4 channels: down.0.0.weight; by class: "
        "head.weight, head.bias; classes taken: ring, circle, background, square and 1 more; classes new: moon, cross; "
        "classes left: triangle"
    )
    best = origin / "checkpoints/best.ckpt"
    record = json.loads((outcome.folder / "model.json").read_text())["init"]
    assert record == {
        "run": "shapes/first",
        "file": "best.ckpt",
        "sha256": hashlib.sha256(best.read_bytes()).hexdigest(),
        "score": pytest.approx(json.loads((origin / "metrics.json").read_text())["val/score"]),
        "classes": old,
    }

    shutil.rmtree(origin)
    task = lightseg.load(outcome.folder)
    assert task.recipe["lineage"] == {"init": record}
    assert task(torch.zeros(1, 4, 20, 20, dtype=torch.uint8)).shape == (1, 7, 20, 20)
    assert task.resolved["mean"] == [*MEAN, MEAN[0]]


def test_init__the_recipes_normalization_wins(fit, recipe, trained, save_start, tmp_path):
    options = ["--model.init", trained, "--model.mean", "[0.5, 0.5, 0.5]", "--trainer.fast_dev_run", "1"]
    assert fit("--config", recipe(), *options, *save_start).code == 0
    start = torch.load(tmp_path / "start0.pt", weights_only=True)
    assert start["mean"].flatten().tolist() == [0.5] * 3
    assert start["std"].flatten().tolist() == STD


def test_encoder_weights__of_a_checkpoint(fit, recipe, trained, save_start, tmp_path):
    best = trained / "checkpoints/best.ckpt"
    options = ["--model.net.encoder_weights", best, "--trainer.fast_dev_run", "1"]
    outcome = fit("--config", recipe(), *options, *save_start)
    assert outcome.code == 0, outcome.err
    before, start = _state(best), torch.load(tmp_path / "start0.pt", weights_only=True)
    down = [name for name in before if name.startswith("net.down.")]
    assert len(down) > 10
    assert all(torch.equal(start[name], before[name]) for name in [*down, "mean", "std"])
    assert not torch.equal(start["net.head.weight"], before["net.head.weight"])


@pytest.fixture
def crash(own_module, monkeypatch, recipe, fit, origin):
    """Train from the origin, and crash where the test says."""
    own_module("crash", (ROOT / "tests/helpers/crash_callback.py").read_text())
    monkeypatch.setenv("CRASH_BY", "error")
    options = ["--config", recipe(), "--model.init", origin, "--trainer.callbacks", "crash.Crash"]

    def run(moment):
        monkeypatch.setenv("CRASH", moment)
        outcome = fit(*options, "--save_every_n_steps", "2")
        monkeypatch.delenv("CRASH")
        return outcome

    return run


@pytest.mark.slow
def test_init__a_resume_needs_no_origin(fit, crash, origin):
    reference, crashed = crash("never:1"), crash("on_train_batch_end:5")
    assert (reference.code, crashed.code) == (0, 1)
    shutil.rmtree(origin)
    folder = next(path for path in reference.folder.parent.iterdir() if path != reference.folder)
    resumed = fit("--resume", folder)
    assert resumed.code == 0, resumed.err
    assert "init: " not in resumed.out
    assert_same_run(folder, reference.folder)


def test_init__a_resume_before_the_first_state_needs_the_same_file(fit, crash, origin, trained, tmp_path):
    assert crash("on_train_batch_end:1").code == 1
    (folder,) = tmp_path.glob("runs/tiny/*")
    best = origin / "checkpoints/best.ckpt"
    shutil.copy(origin / "checkpoints/last.ckpt", best)
    assert_refused(fit("--resume", folder), "is not the file that the run started from; bring it back")
    best.unlink()
    best.with_name("last.ckpt").unlink()
    assert_refused(fit("--resume", folder), "model.init: ", "no checkpoint found")
    shutil.copy(trained / "checkpoints/best.ckpt", best)
    resumed = fit("--resume", folder)
    assert resumed.code == 0, resumed.err
    assert "init: 56 of 56 tensors" in resumed.out


def _damage(file, kind):
    if kind == "other bytes":
        file.write_bytes(b"nothing")
    elif kind == "code":
        torch.save({"lightseg": json.loads, "state_dict": {}}, file)
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:-500])
    elif kind == "foreign":
        torch.save({"state_dict": {"net.head.weight": torch.zeros(1)}}, file)
    else:
        content = torch.load(file, weights_only=True)
        name, value = {
            "not finite": ("net.head.bias", torch.nan),
            "negative": ("net.down.0.1.running_var", -1.0),
        }[kind]
        content["state_dict"][name][0] = value
        torch.save(content, file)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("other bytes", "damaged or not a checkpoint"),
        ("code", "holds more than tensors and plain data"),
        ("truncated", "damaged or not a checkpoint"),
        ("foreign", "it carries no recipe"),
        ("not finite", "state_dict.net.head.bias: holds NaN or infinity"),
        ("negative", "state_dict.net.down.0.1.running_var: holds a negative variance"),
    ],
)
def test_init__a_damaged_file_is_refused(fit, recipe, origin, tmp_path, kind, message):
    file = origin / "checkpoints/best.ckpt"
    _damage(file, kind)
    assert_refused(fit("--config", recipe(), "--model.init", origin), f"model.init: {file}: ", message)
    assert not list(tmp_path.glob("runs/tiny/*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.net.width", "8"], "down.0.0.weight has the shape (4, 3, 3, 3) in the file and (8, 3, 3, 3) here"),
        (["--model.net", "FCN"], "the names differ, down.0.0.weight in the file and encoder.stages.0.0.weight here"),
    ],
)
def test_init__a_file_from_which_nothing_fits_is_refused(fit, recipe, trained, tmp_path, options, message):
    outcome = fit("--config", recipe(), "--model.init", trained, *options)
    assert_refused(outcome, "model.init: no weight of the UNet in ", message)
    assert not list(tmp_path.glob("runs/tiny/*"))


def test_init__a_missing_origin_is_refused(fit, recipe, tmp_path):
    outcome = fit("--config", recipe(), "--model.init", tmp_path / "nowhere")
    assert_refused(outcome, "model.init: ", "no checkpoint found; there is no such file or folder")


CLASSIFIER = """
from torch import nn


class Pooled(nn.Sequential):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(
            nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, num_classes)
        )
"""
LABELS = """
base: configs/data/shapes_classification.yaml
model: {class_path: ClassificationTask, init_args: {net: pooled.Pooled}}
data: {init_args: {image_size: 32, train_size: 5, val_size: 5, test_size: 5, batch_size: 5, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 1}
"""


def test_init__of_another_task_imports_no_class_of_the_origin(fit, recipe, own_module):
    own_module("dropout_net", DROPOUT_NET)
    first = fit("--config", recipe(), "--model.net", "dropout_net.DropoutNet", "--trainer.max_epochs", "1")
    own_module("dropout_net", "raise RuntimeError('it was imported')")
    own_module("pooled", CLASSIFIER)
    second = fit("--config", recipe(LABELS, "labels.yaml"), "--model.init", first.folder)
    assert second.code == 0, second.err
    source = f"{first.folder}/checkpoints/best.ckpt"
    assert f"init: 6 of 8 tensors from {source}; new: 4.weight, 4.bias; left: 4.weight, 4.bias\n" in second.out


def test_init__is_named_by_compare_and_diff(fit, recipe, origin, call):
    options = ["--config", recipe(), "--trainer.max_epochs", "1"]
    first = fit(*options, "--model.init", origin)
    again = fit(*options, "--model.init", os.path.relpath(origin / "checkpoints/best.ckpt"))
    digits = hashlib.sha256((origin / "checkpoints/best.ckpt").read_bytes()).hexdigest()[:8]
    name = f"shapes/first (best.ckpt, {digits})"
    assert f"recipe       model.init: null -> {name}" in call(diff.main, origin, first.folder)[1]
    assert call(diff.main, first.folder, again.folder)[1] == "no effective difference\n"
    assert f"init {name}" in call(compare.main, origin, first.folder, again.folder)[1].replace("\n", " ")


@pytest.mark.slow
def test_init__every_process_takes_the_same_weights(launch, recipe, trained, save_start, tmp_path):
    wait_for_run(launch("--config", recipe(), "--model.init", trained, *save_start, *DDP))
    best = _state(trained / "checkpoints/best.ckpt")
    for rank in (0, 1):
        start = torch.load(tmp_path / f"start{rank}.pt", weights_only=True)
        assert all(torch.equal(start[name], value) for name, value in best.items() if value.is_floating_point())
