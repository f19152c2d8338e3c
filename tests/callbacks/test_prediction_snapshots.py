"""Predictions of the same few images during training."""

import lightning as L
import pytest
import torch

from lightseg.callbacks import PredictionSnapshots
from lightseg.data import Shapes
from lightseg.loggers import Wandb
from lightseg.nets import UNet
from lightseg.optim.schedules import Constant
from lightseg.tasks import SegmentationTask
from lightseg.visualization.examples import read_examples


def _fit(folder, *callbacks, epochs=15):
    data = Shapes(image_size=32, train_size=4, val_size=6, test_size=0, batch_size=4, num_workers=0)
    torch.manual_seed(0)
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, schedule=Constant())
    logger = Wandb(mode="disabled")
    logger.folder = folder
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    return task


def _steps(folder):
    return sorted(int(path.name) for path in (folder / "images/samples").glob("*"))


def test_snapshots__one_at_the_first_validation_after_each_tenth(tmp_path):
    task = _fit(tmp_path, PredictionSnapshots())
    # tenths of 15 steps end at 1.5, 3, 4.5, …; a step is called by its index
    assert _steps(tmp_path) == [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    snapshots = [read_examples(path)[0] for path in sorted((tmp_path / "images/samples").iterdir())]
    assert [example.name for example in snapshots[0]] == ["val-0", "val-1", "val-3", "val-5"]
    assert all([example.name for example in snapshot] == ["val-0", "val-1", "val-3", "val-5"] for snapshot in snapshots)
    assert task.training


def test_snapshots__change_no_weight(tmp_path):
    with_snapshots, without = _fit(tmp_path, PredictionSnapshots(), epochs=3), _fit(None, epochs=3)
    for name, value in without.net.state_dict().items():
        assert torch.equal(value, with_snapshots.net.state_dict()[name]), name


@pytest.mark.parametrize("folder", [None])
def test_snapshots__without_a_folder_there_are_none(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _fit(folder, PredictionSnapshots(), epochs=2)
    assert not list(tmp_path.rglob("samples"))
