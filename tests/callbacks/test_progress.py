"""Lines of a training and of scorings without a progress bar."""

import importlib
from types import SimpleNamespace

import lightning as L
import pytest

from lightseg import evaluate
from lightseg.callbacks import progress

SLOW = """
import lightning as L

now, seconds = [0.0], [0.0]


class Slow(L.Callback):
    def on_train_batch_start(self, *_):
        now[0] += seconds[0]
"""


@pytest.fixture
def lines(fit, recipe, own_module, monkeypatch):
    """The lines of two epochs of three steps, each of which takes some seconds by the clock of the test."""
    own_module("slow", SLOW)
    slow = importlib.import_module("slow")
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: slow.now[0]))

    def train(seconds):
        slow.seconds[0] = seconds
        outcome = fit("--config", recipe(), "--trainer.callbacks+=slow.Slow")
        assert outcome.code == 0
        return [line.split("  ") for line in outcome.out.splitlines() if line.startswith("epoch ")]

    return train


def test_lines__come_between_validations_that_are_far_apart(lines):
    printed = lines(10.0)
    # none has the step of the validation behind it
    assert [line[:2] for line in printed] == [
        [f"epoch {epoch}/2", f"step {step}"] for epoch, steps in ((1, (1, 2, 3)), (2, (4, 5, 6))) for step in steps
    ]
    for line in printed:
        assert ("val score" in line[-2]) == (line[1] in ("step 3", "step 6"))
        assert line[2].startswith("train loss ")
        assert line[-1].startswith("images/s ")


def test_lines__are_those_of_validations_where_they_follow_each_other_closely(lines):
    assert ["val score" in line[-2] for line in lines(1.0)] == [True, True]


def test_lines__of_a_long_training_come_after_a_share_of_its_time(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    waits = progress.EpochPrinter()
    waits.on_train_start(None, None)
    for lasted, wait in ((0, 8), (60, 8), (120, 8), (600, 40), (3600, 240)):
        now[0] = 1000 + lasted
        waits._restart()
        assert waits._clock.next_line - now[0] == wait


@pytest.fixture
def scorings(fit, call, recipe, monkeypatch):
    """The lines within the scorings of a run, and of `evaluate`; the five images of each split are three batches."""

    def train(wait):
        monkeypatch.setattr(progress, "_WAIT", wait)
        run = fit("--config", recipe(), "--trainer.max_epochs", "1", "--trainer.num_sanity_val_steps", "0", *TWO)
        code, out, err = call(evaluate.main, run.folder)
        assert (run.code, code) == (0, 0), run.err + err
        return [[line for line in text.splitlines() if line.startswith("scoring ")] for text in (run.out, out)]

    return train


TWO = ["--data.batch_size", "2"]


def test_scoring__prints_the_batches_of_each_pass(scorings):
    val, test = ([f"scoring {split}: batch {batch}/3" for batch in range(3)] for split in ("val", "test"))
    # a line is due at every batch; the best checkpoint is scored behind the training
    assert scorings(0.0) == [[*val, *val, *test], test]


def test_scoring__is_quiet_where_it_is_short(scorings):
    assert scorings(600.0) == [[], []]


def test_scoring__a_line_every_eight_seconds(monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    printer, trainer = progress.ScoringPrinter(), L.Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    printer.on_test_start(trainer, None)
    trainer.test_loop._max_batches = [1000]
    for batch in range(1000):
        printer.on_test_batch_start(trainer, None, None, batch)
        now[0] += 0.5
    assert capsys.readouterr().out.splitlines() == [
        f"scoring test: batch {batch}/1000" for batch in range(16, 1000, 16)
    ]
