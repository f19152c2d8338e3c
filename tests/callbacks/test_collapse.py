from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn

from lightseg.callbacks import CollapseWarning
from lightseg.callbacks.collapse import collapsed
from lightseg.data import Shapes
from lightseg.tasks import SegmentationTask

GOOD = torch.tensor([[90, 5, 5], [5, 90, 5], [5, 5, 90]])
NO_C = torch.tensor([[95, 5, 0], [10, 90, 0], [80, 20, 0]])
RARE_C = torch.tensor([[95, 5, 0], [10, 90, 0], [18, 2, 0]])
ONLY_A = torch.tensor([[100, 0, 0], [100, 0, 0], [100, 0, 0]])


def _validate(callback, *matrices, rank=0, sanity_checking=False, fn="fit"):
    state = SimpleNamespace(fn=fn)
    trainer = SimpleNamespace(sanity_checking=sanity_checking, state=state, is_global_zero=rank == 0)
    for counts in matrices:
        task = SegmentationTask(nn.Conv2d(3, 3, 1), ["a", "b", "c"])
        task.counts["val"] = counts
        callback.on_validation_end(trainer, task)


def test_collapsed__is_below_a_hundredth_of_the_truth():
    counts = torch.tensor([[1000, 0, 9], [991, 0, 0], [991, 9, 0]])
    # b: 9 predicted of 991; c: 9 of 1000
    assert collapsed(counts.sum(1), counts.sum(0)) == {1, 2}
    counts[0, 2] = 10
    assert collapsed(counts.sum(1), counts.sum(0)) == {1}


def test_collapsed__a_class_that_is_not_there_has_not():
    assert collapsed(torch.tensor([10, 0]), torch.tensor([10, 0])) == set()


def test_warning__once_is_no_collapse(capsys):
    _validate(CollapseWarning(), NO_C, GOOD, NO_C)
    assert capsys.readouterr().err == ""


def test_warning__twice_in_a_row_is_said_once(capsys):
    callback = CollapseWarning()
    _validate(callback, RARE_C, RARE_C)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "warning: hardly ever predicted in the last two validations: c"
    for option in ("--model.class_weights", "--model.logit_adjustment", "--data.sampling"):
        assert option in err
    _validate(callback, NO_C, GOOD, NO_C, NO_C)
    assert capsys.readouterr().err == ""


def test_warning__of_balanced_classes_names_no_cure_of_rare_ones(capsys):
    _validate(CollapseWarning(), NO_C, NO_C)
    err = capsys.readouterr().err
    assert "This is no matter of rare classes" in err
    assert "class_weights" not in err


def test_warning__of_a_common_class_names_no_cure_of_rare_ones(capsys):
    # a is 80 of 100 pixels, and never predicted
    _validate(CollapseWarning(), *2 * [torch.tensor([[0, 80, 0], [0, 10, 0], [0, 0, 10]])])
    err = capsys.readouterr().err
    assert err.splitlines()[0].endswith("validations: a")
    assert "data.batch_size" in err
    assert "class_weights" not in err


def test_warning__further_classes_are_said(capsys):
    callback = CollapseWarning()
    _validate(callback, NO_C, NO_C, ONLY_A)
    capsys.readouterr()
    _validate(callback, ONLY_A)
    assert capsys.readouterr().err.splitlines()[0].endswith("validations: b")


@pytest.mark.parametrize("options", [{"rank": 1}, {"sanity_checking": True}, {"fn": "validate"}])
def test_warning__is_for_the_training_and_one_process(capsys, options):
    _validate(CollapseWarning(), NO_C, NO_C, **options)
    assert capsys.readouterr().err == ""


def test_warning__the_sanity_check_is_no_validation(capsys):
    callback = CollapseWarning()
    _validate(callback, NO_C, sanity_checking=True)
    _validate(callback, NO_C)
    assert capsys.readouterr().err == ""


def test_state__goes_on(capsys):
    first, second, third = CollapseWarning(), CollapseWarning(), CollapseWarning()
    _validate(first, NO_C)
    second.load_state_dict(first.state_dict())
    _validate(second, NO_C)
    assert "validations: c" in capsys.readouterr().err
    third.load_state_dict(second.state_dict())
    _validate(third, NO_C, NO_C)
    assert capsys.readouterr().err == ""


class Ground(nn.Module):
    """Says background everywhere."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        logits = torch.zeros(len(x), 6, *x.shape[2:])
        logits[:, 0] = 9
        return logits * self.scale


@pytest.mark.parametrize(("epochs", "warning_count"), [(1, 0), (3, 1)])
def test_warning__in_a_training(capsys, tmp_path, epochs, warning_count):
    data = Shapes(image_size=32, train_size=4, val_size=12, test_size=0, batch_size=4, num_workers=0)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[CollapseWarning()], enable_checkpointing=False, **quiet
    )
    trainer.fit(SegmentationTask(Ground(), data.classes), data)
    assert capsys.readouterr().err.count(", ".join(data.classes[1:])) == warning_count
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["CollapseWarning"]
    assert state["last"] == [1, 2, 3, 4, 5]
