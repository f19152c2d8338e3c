"""Schedules that are refused before the training."""

import pytest

from lightseg.errors import ConfigError
from lightseg.tasks.optimizer_trial import try_schedule


def test_schedule__that_is_negative_is_refused():
    with pytest.raises(ConfigError, match="model.schedule: function multiplies the learning rate by -0.05"):
        try_schedule(lambda progress: -progress)


def test_scheduler__a_rate_that_becomes_negative_is_refused(fit, recipe):
    schedule = "{class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: -1}}"
    outcome = fit("--config", recipe(), "--model.schedule", schedule)
    assert outcome.code == 2
    assert "model.schedule: ExponentialLR makes the learning rate -0.0" in outcome.err
