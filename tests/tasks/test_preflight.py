"""Checks of schedules before training."""

import pytest

from lightseg.errors import ConfigError
from lightseg.tasks.preflight import try_schedule


def test_schedule__that_is_negative_is_refused():
    with pytest.raises(ConfigError, match="model.schedule: function multiplies the learning rate by -0.05"):
        try_schedule(lambda progress: -progress)
