"""Choice of the W&B mode."""

import pytest

from lightseg.errors import ConfigError
from lightseg.tracking import wandb_run


@pytest.mark.parametrize("mode", ["disabled", "offline"])
def test_choose__what_a_recipe_refuses_is_refused(mode, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    assert wandb_run.choose(mode) == (mode, "asked for")


def test_choose__environment_decides_before_the_rest(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert wandb_run.choose("online")[0] == "offline"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WANDB_MODE", "foo", "WANDB_MODE=foo"),
        ("WANDB_BASE_URL", "nonsense", "base_url: Input should be a valid URL"),
        ("WANDB_BASE_URL", "http://127.0.0.1:99999", "base_url: Input should be a valid URL"),
    ],
)
def test_choose__bad_settings(name, value, message, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        wandb_run.choose("auto")
