"""The checkpoint from which a training resumes: when it is written, and what it adapts."""

import lightning as L
import pytest
import torch

from lightseg.callbacks import LastCheckpoint
from lightseg.callbacks.graceful_stop import Stop
from lightseg.data import Shapes
from lightseg.errors import ConfigError
from lightseg.nets import UNet
from lightseg.optim.schedules import Constant
from lightseg.tasks import SegmentationTask

# the loader of a run is started behind the completed batches, of which Lightning does not know
pytestmark = pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint")


class Saves(L.Callback):
    """Notes the step of each checkpoint."""

    def __init__(self):
        self.steps = []

    def on_save_checkpoint(self, trainer, task, checkpoint):
        self.steps.append(trainer.global_step)


class StopAt(L.Callback):
    """Stops the training between two steps."""

    def __init__(self, step, error=Stop):
        self.step, self.error = step, error

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        if trainer.global_step == self.step:
            raise self.error


def _fit(path, *callbacks, resume=False, every_n_steps=None, **options):
    data = Shapes(image_size=32, train_size=16, val_size=2, test_size=0, batch_size=4, num_workers=0)
    torch.manual_seed(0)
    task = SegmentationTask(UNet(6, width=4, depth=1), data.classes, schedule=Constant())
    last = LastCheckpoint(path, every_n_steps)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[last, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(task, data, ckpt_path=path if resume else None, weights_only=True)
    return last, task


@pytest.mark.parametrize(("every_n_steps", "steps"), [(None, [4, 8]), (3, [3, 4, 6, 8]), (1, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_last__after_validations_at_intervals_and_at_the_end(tmp_path, every_n_steps, steps):
    saves = Saves()
    last, _ = _fit(tmp_path / "last.ckpt", saves, every_n_steps=every_n_steps)
    assert saves.steps == steps
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["made_in"] == {"folder": str(tmp_path), "batches_per_step": 1, "should_stop": True}
    assert last.finished
    assert state["callbacks"]["LastCheckpoint"]["finished"]


def test_last__a_stop_between_two_steps_is_saved_and_resumed_exactly(tmp_path):
    _, whole = _fit(tmp_path / "whole.ckpt")
    with pytest.raises(SystemExit):
        _fit(tmp_path / "last.ckpt", StopAt(3))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3
    last, resumed = _fit(tmp_path / "last.ckpt", resume=True)
    assert last.seconds > 0
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name]), name


def test_last__an_error_in_a_step_is_not_saved(tmp_path):
    with pytest.raises(ValueError):
        _fit(tmp_path / "last.ckpt", StopAt(3, ValueError))
    assert not (tmp_path / "last.ckpt").exists()


def test_last__a_resume_may_divide_its_steps_otherwise(tmp_path):
    with pytest.raises(SystemExit):
        _fit(tmp_path / "last.ckpt", StopAt(3))
    saves = Saves()
    _fit(tmp_path / "last.ckpt", saves, resume=True, accumulate_grad_batches=2)
    # two batches a step now, of half the size
    assert saves.steps == [4, 8]


def test_last__an_epoch_must_be_a_whole_number_of_steps(tmp_path):
    with pytest.raises(ConfigError, match=r"^trainer\.limit_train_batches: 3 batches are no whole number of steps"):
        _fit(tmp_path / "last.ckpt", accumulate_grad_batches=2, limit_train_batches=3)


def test_load__paths_of_a_run_that_has_moved(tmp_path):
    before, state = "/old/checkpoints", {"dirpath": "/old/checkpoints", "best_k_models": {"/old/checkpoints/b": 0.5}}
    state |= dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), f"{before}/b")
    progress = {name: {"ready": 5, "completed": 4} for name in ("total", "current")}
    checkpoint = {
        "made_in": {"folder": before, "batches_per_step": 2, "should_stop": True},
        "callbacks": {"best": state, "other": {"dirpath": "/elsewhere", "best_model_path": f"{before}/b"}},
        "loops": {"fit_loop": {"epoch_loop.batch_progress": progress}},
    }
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, accumulate_grad_batches=3)
    LastCheckpoint(tmp_path / "last.ckpt").on_load_checkpoint(trainer, None, checkpoint)
    assert trainer.should_stop
    assert state["best_k_models"] == {f"{tmp_path}/b": 0.5}
    assert state["best_model_path"] == state["last_model_path"] == f"{tmp_path}/b"
    assert checkpoint["callbacks"]["other"]["best_model_path"] == f"{before}/b"
    # two steps of two batches are two of three
    assert progress["total"] == {"ready": 7, "started": 6, "processed": 6, "completed": 6}
