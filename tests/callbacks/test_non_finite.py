import lightning as L
import pytest
import torch

from lightseg.callbacks import NonFiniteGuard
from lightseg.data import Shapes
from lightseg.errors import RunError
from lightseg.nets import UNet
from lightseg.optim.schedules import Constant
from lightseg.tasks import SegmentationTask


class Poisoned(SegmentationTask):
    """Its loss is not a number at the steps that are given."""

    def __init__(self, *args, bad=(), **kwargs):
        super().__init__(*args, schedule=Constant(), **kwargs)
        self.bad = bad

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if batch_idx in self.bad else loss


class States(L.Callback):
    """The whole state after every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, task, *args):
        self.seen.append({name: value.clone() for name, value in task.state_dict().items()})


def _fit(bad, **options):
    data = Shapes(image_size=32, train_size=32, val_size=2, test_size=0, batch_size=4, num_workers=0)
    torch.manual_seed(0)
    task = Poisoned(UNet(6, width=4, depth=1), data.classes, bad=bad)
    guard, states = NonFiniteGuard(), States()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[guard, states],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(task, data)
    return guard, states.seen, task


def _equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first if not name.startswith("val_"))


def test_guard__skipped_step_leaves_no_trace():
    guard, states, _ = _fit(bad=(3,))
    assert guard.skipped == 1
    assert _equal(states[2], states[3])
    assert not _equal(states[3], states[4])


def test_guard__optimiser_state_does_not_move_either():
    _, _, task = _fit(bad=(7,))
    _, _, other = _fit(bad=())
    steps = [next(iter(each.optimizers().optimizer.state.values()))["step"] for each in (task, other)]
    assert [int(step) for step in steps] == [7, 8]


def test_guard__two_in_a_row_are_survived():
    guard, _, _ = _fit(bad=(2, 3, 5))
    assert guard.skipped == 3


def test_guard__three_in_a_row_end_the_run():
    with pytest.raises(RunError, match=r"not finite 3 steps in a row \(nan, nan, nan\) up to step 5"):
        _fit(bad=(2, 3, 4, 5))


def test_guard__one_bad_batch_spoils_its_accumulated_step():
    guard, states, _ = _fit(bad=(2,), accumulate_grad_batches=2)
    assert guard.skipped == 1
    assert _equal(states[1], states[3])
