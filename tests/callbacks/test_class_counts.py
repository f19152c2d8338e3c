"""Class counts of the training samples."""

import json
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from lightseg.callbacks import ClassCounter
from lightseg.data import Shapes, ShapesClassification
from lightseg.nets import SimpleCNN, UNet
from lightseg.tasks import ClassificationTask, SegmentationTask


def _step(callback, counts, accumulated=1, processes=1):
    trainer = SimpleNamespace(accumulate_grad_batches=accumulated, world_size=processes)
    task = SimpleNamespace(step_counts=counts)
    for index in range(accumulated):
        callback.on_train_batch_end(trainer, task, None, {}, index)


def _fit(data, callback, checkpoint=None, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"max_epochs": 1, "enable_checkpointing": False, **quiet, **options}
    trainer = L.Trainer(accelerator="cpu", callbacks=[callback], **options)
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes)
    if data.kind == "classification":
        task = ClassificationTask(SimpleCNN(5), data.classes)
    trainer.fit(task, data, ckpt_path=checkpoint)
    return trainer


def _shapes(**options):
    return Shapes(**{"image_size": 32, "train_size": 12, "val_size": 2, "batch_size": 4, "num_workers": 0, **options})


def test_counts__are_whole_numbers_of_the_whole_step():
    callback = ClassCounter()
    # 10, 0 and 5 over three batches; 7, 0 and 1 over three batches of each of two processes
    _step(callback, torch.tensor([10, 0, 5]).float() / 3, accumulated=3)
    _step(callback, torch.tensor([7, 0, 1]).float() / 6, accumulated=3, processes=2)
    assert callback.counts.tolist() == [17, 0, 6]
    assert callback.shares(["a", "b", "c"]) == {"a": 17 / 23, "b": 0.0, "c": 6 / 23}


def test_counts__stay_exact_where_float32_does_not():
    callback = ClassCounter()
    callback.load_state_dict({"counts": [2**53 + 1, 2**24]})
    _step(callback, torch.tensor([1.0, 1.0]))
    assert callback.state_dict() == {"counts": [2**53 + 2, 2**24 + 1]}


def test_shares__of_nothing():
    callback = ClassCounter()
    assert callback.shares(["a"]) == {}
    _step(callback, None)
    assert callback.shares(["a"]) == {}
    _step(callback, torch.zeros(1))
    assert callback.shares(["a"]) == {}


@pytest.mark.parametrize("accumulated", [1, 2])
def test_training__draws_every_sample_once(accumulated):
    data, callback = _shapes(), ClassCounter()
    _fit(data, callback, max_epochs=2, accumulate_grad_batches=accumulated)
    assert callback.counts.tolist() == (2 * data.class_counts()).tolist()


def test_training__draws_what_sampling_says():
    data = ShapesClassification(train_size=60, val_size=5, batch_size=20, imbalance=9, num_workers=0)
    assert data.class_counts().max() >= 25
    data.sampling, callback = "class_balanced", ClassCounter()
    _fit(data, callback)
    assert callback.counts.sum() == 60
    assert (callback.counts - 12).abs().max() <= 3


def test_training__that_is_resumed_has_drawn_the_same(tmp_path):
    uninterrupted, first, second = ClassCounter(), ClassCounter(), ClassCounter()
    options = {"sampling": "class_balanced", "imbalance": 9}
    _fit(_shapes(**options), uninterrupted, max_epochs=2)
    _fit(_shapes(**options), first).save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["DrawnClasses"]
    assert state == {"counts": first.counts.tolist()}
    _fit(_shapes(**options), second, tmp_path / "last.ckpt", max_epochs=2)
    assert first.counts.sum() < second.counts.sum()
    assert second.counts.tolist() == uninterrupted.counts.tolist()


def test_fit__keeps_the_shares_and_leaves_the_table_alone(fit, recipe):
    outcome = fit("--config", recipe())
    counts = Shapes(image_size=32, train_size=12).class_counts()
    names = _shapes().classes
    drawn = {name: value for name, value in outcome.metrics.items() if name.startswith("train/drawn/")}
    assert drawn == {f"train/drawn/{name}": count / counts.sum() for name, count in zip(names, counts, strict=True)}
    assert "drawn" not in outcome.out


@pytest.mark.slow
def test_fit__two_processes_draw_what_one_does(fit, recipe, launch):
    one = fit("--config", recipe()).metrics
    process = launch("--config", recipe(), "--trainer.devices", "2", "--trainer.strategy", "ddp")
    out, err = process.communicate()
    assert process.returncode == 0, err
    file = Path(out.strip().splitlines()[-1].removeprefix("run: ")) / "metrics.json"
    drawn = {name: value for name, value in json.loads(file.read_text()).items() if name.startswith("train/drawn/")}
    assert len(drawn) == 6
    assert drawn.items() <= one.items()
