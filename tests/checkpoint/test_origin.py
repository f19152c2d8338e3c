"""Trained weights from which another training starts, read as data."""

import hashlib
import re

import pytest
import torch

from lightseg.checkpoint.origin import read_origin
from lightseg.checkpoint.rebuild import make_recipe
from lightseg.errors import ConfigError
from lightseg.exporting.safetensors import write
from lightseg.nets import UNet
from lightseg.tasks import SegmentationTask

CLASSES = ["road", "car"]


@pytest.fixture
def task():
    task = SegmentationTask(UNet(2, width=4, depth=1), CLASSES, mean=[0.5, 0.25, 0.5], std=[0.5] * 3)
    config = {"model": {"class_path": "nowhere.Task", "init_args": {"net": {"class_path": "nowhere.Net"}}}}
    task.recipe = make_recipe(config, CLASSES, 3, [(0, 0, 0), (1, 1, 1)])
    return task


@pytest.fixture
def save(task, tmp_path):
    def write_checkpoint(**content):
        file = tmp_path / "area" / "first" / "checkpoints" / "best.ckpt"
        file.parent.mkdir(parents=True)
        checkpoint = {"state_dict": task.state_dict(), **content}
        task.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, file)
        (tmp_path / "area/first/config.yaml").write_text("{}")
        return file

    return write_checkpoint


def test_read_origin__of_a_run(save, task):
    file = save(callbacks={"Best": {"best_model_score": torch.tensor(0.5)}})
    origin, record = read_origin(str(file.parent.parent))
    assert (origin.source, origin.net, origin.classes, origin.in_channels) == (str(file), "Net", CLASSES, 3)
    assert (origin.mean, origin.std) == ([0.5, 0.25, 0.5], [0.5] * 3)
    assert origin.state.keys() == task.net.state_dict().keys()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert record == {"run": "area/first", "file": "best.ckpt", "sha256": digest, "score": 0.5, "classes": CLASSES}


@pytest.mark.parametrize("callbacks", [None, [1], {"Best": {"best_model_score": torch.tensor([1.0, 2.0])}}], ids=str)
def test_read_origin__a_score_that_is_none(save, callbacks):
    assert read_origin(str(save(callbacks=callbacks))).record["score"] is None


def test_read_origin__of_an_export(task, tmp_path):
    write(task, tmp_path, {"recipe": {**task.recipe, "resolved": task.resolved}})
    origin, record = read_origin(str(tmp_path))
    assert torch.equal(origin.state["head.bias"], task.net.head.bias)
    assert (record["run"], record["score"]) == ("model.safetensors", None)


def test_read_origin__no_address():
    with pytest.raises(ConfigError, match="model.init: hf://nobody: no address on the Hub"):
        read_origin("hf://nobody")


def test_read_origin__of_several(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    for source in ("a+b", f"{tmp_path}/*"):
        with pytest.raises(ConfigError, match=f"^model.init: {re.escape(source)}: stands for several models"):
            read_origin(source)
