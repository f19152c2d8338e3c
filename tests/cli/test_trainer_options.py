"""Length of a training, and options of the trainer without a meaning."""

import math

import pytest
from jsonargparse import Namespace

from lightseg.cli.trainer_options import EPOCHS, set_length
from lightseg.errors import ConfigError

DEFAULTS = {
    **dict.fromkeys(("max_epochs", "max_time", "limit_train_batches", "limit_val_batches", "log_every_n_steps")),
    **dict.fromkeys(("gradient_clip_val", "gradient_clip_algorithm", "num_sanity_val_steps")),
    "max_steps": -1,
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
    "num_nodes": 1,
    "reload_dataloaders_every_n_epochs": 0,
}


@pytest.mark.parametrize(
    ("options", "epochs"),
    [({}, EPOCHS), ({"max_epochs": 3}, 3), ({"max_steps": 10}, None), ({"max_epochs": -1, "max_steps": 10}, -1)],
)
def test_set_length__only_where_nothing_else_ends_the_training(options, epochs):
    trainer = Namespace(**{**DEFAULTS, **options})
    set_length(trainer)
    assert trainer.max_epochs == epochs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_time": "00:01:00:00"}, "trainer.max_time: the schedule needs a length too"),
        ({"max_epochs": 2, "max_time": "00:00:00:00"}, "trainer.max_time: 0 leaves nothing to train"),
        ({"max_epochs": 2, "max_time": {"minutes": 0}}, "trainer.max_time: 0 leaves nothing to train"),
        ({"max_epochs": -1}, "trainer.max_epochs: -1 has no end"),
        ({"max_epochs": 0}, "trainer.max_epochs: 0 leaves nothing to train"),
        ({"max_steps": 0}, "trainer.max_steps: 0 leaves nothing to train"),
        ({"limit_train_batches": 0}, "trainer.limit_train_batches: 0 leaves nothing to train"),
        ({"limit_val_batches": 0}, "trainer.limit_val_batches: 0 leaves nothing to choose"),
        ({"max_epochs": 3, "check_val_every_n_epoch": 4}, "trainer.check_val_every_n_epoch: 4, but there are only 3"),
        ({"check_val_every_n_epoch": 0}, "trainer.check_val_every_n_epoch: must be 1 or more, got 0"),
        ({"gradient_clip_val": math.nan}, "trainer.gradient_clip_val: must be a finite number"),
        ({"accumulate_grad_batches": 0}, "trainer.accumulate_grad_batches: must be 1 or more, got 0"),
        ({"num_sanity_val_steps": -2}, "trainer.num_sanity_val_steps: must be -1 or more, got -2"),
        ({"gradient_clip_val": -1.0}, "trainer.gradient_clip_val: must be a finite number, 0 or more, got -1.0"),
        ({"gradient_clip_val": math.inf}, "trainer.gradient_clip_val: must be a finite number"),
        ({"gradient_clip_algorithm": "norm"}, "trainer.gradient_clip_algorithm: norm clips nothing without"),
    ],
)
def test_set_length__an_option_without_a_meaning_is_refused(options, message):
    with pytest.raises(ConfigError) as raised:
        set_length(Namespace(**{**DEFAULTS, **options}))
    assert str(raised.value).startswith(message)


def test_set_length__sensible_options_stay_as_they_are():
    options = {"max_epochs": 4, "max_time": "00:00:10:00", "check_val_every_n_epoch": 4, "gradient_clip_val": 1.0}
    trainer = Namespace(**{**DEFAULTS, **options, "gradient_clip_algorithm": "value", "limit_train_batches": 0.5})
    before = dict(vars(trainer))
    set_length(trainer)
    assert vars(trainer) == before
