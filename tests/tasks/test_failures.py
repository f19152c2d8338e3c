"""Errors of torch and Lightning in the words of a recipe."""

from types import SimpleNamespace

import pytest

from lightseg.errors import ConfigError, RunError
from lightseg.tasks.failures import translate_error


def _trainer(world_size=1):
    return SimpleNamespace(datamodule=None, world_size=world_size, strategy=SimpleNamespace(launcher=None))


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (ValueError("Expected more than 1 value per channel when training, got"), "data.batch_size: one image per "),
        (
            ValueError("`val_check_interval` (9) must be\n less than or equal to the number of the training batches"),
            "trainer.val_check_interval: `val_check_interval` (9) must be less than or equal to",
        ),
    ],
)
def test_translate_error__names_the_key(error, start):
    message = translate_error(error, _trainer())
    assert isinstance(message, ConfigError)
    assert str(message).startswith(start)
    assert "\n" not in str(message)


def test_translate_error__a_lost_connection_is_one_between_processes():
    error = RuntimeError("Connection closed by peer [127.0.0.1]:5")
    assert translate_error(error, _trainer()) is None
    failure = translate_error(error, _trainer(world_size=2))
    assert isinstance(failure, RunError)
    assert str(failure).startswith("another process of this run has died")


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x")])
def test_translate_error__of_anything_else_there_is_no_explanation(error):
    assert translate_error(error, _trainer(world_size=2)) is None
