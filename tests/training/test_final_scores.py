"""Scores of the best checkpoint, which must be those of the training."""

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from lightseg.data import Shapes
from lightseg.errors import RunError
from lightseg.nets import UNet
from lightseg.tasks import SegmentationTask
from lightseg.training.final_scores import score_checkpoint

DATA = {"image_size": 32, "train_size": 2, "val_size": 3, "num_workers": 0, "batch_size": 2}


def _score(logged_score, test_size=2, weights=1.0, **options):
    data = Shapes(**DATA, test_size=test_size)
    torch.manual_seed(0)
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, mean=[0.5] * 3, std=[0.5] * 3)
    for parameter in task.net.parameters():
        parameter.data *= weights
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = L.Trainer(accelerator="cpu", logger=CSVLogger("logs"), max_epochs=1, **quiet, **options)
    loggers = trainer.loggers
    scores = score_checkpoint(trainer, task, data, logged_score)
    assert trainer.loggers == loggers
    return scores, task


def test_score_checkpoint__val_then_test():
    scores, task = _score(None)
    assert {name.partition("/")[0] for name in scores} == {"val", "test"}
    assert int(task.counts["val"].sum()) <= 3 * 32 * 32
    assert scores["val/score"] == task.scores(task.counts["val"])["score"]
    again, _ = _score(torch.tensor(scores["val/score"]))
    assert again == scores


@pytest.mark.parametrize("options", [{"test_size": 0}, {"limit_test_batches": 0}])
def test_score_checkpoint__a_split_that_is_empty_or_left_out(options):
    scores, _ = _score(None, **options)
    assert {name.partition("/")[0] for name in scores} == {"val"}


@pytest.mark.parametrize("logged_score", [0.9, float("nan")])
def test_score_checkpoint__another_score_than_was_logged_is_an_error(logged_score):
    with pytest.raises(RunError, match=r"^the best checkpoint scores 0\.\d{6} on val when loaded again, but "):
        _score(logged_score)


def test_score_checkpoint__a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(RunError, match="^val/loss is nan with the best checkpoint"):
        _score(None, weights=float("inf"))
