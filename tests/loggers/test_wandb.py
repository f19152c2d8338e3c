"""The W&B logger without trainings; tests/promises/test_wandb.py has those."""

import json
import sys

import pytest

from lightseg.loggers import Wandb
from lightseg.loggers.wandb import _sweep_settings
from lightseg.tracking import wandb_run
from lightseg.tracking.wandb_view import View
from tests.helpers.fake_wandb import FakeWandb


class Run:
    """A wandb run that notes its rows."""

    starting_step, id = 0, "one"

    def __init__(self):
        self.rows, self.defined, self.summary = [], [], {}

    def log(self, row, step=None, commit=None):
        self.rows.append((step, row))

    def define_metric(self, name, **_):
        self.defined.append(name)


@pytest.fixture
def logger(tmp_path):
    logger = Wandb()
    logger.folder, logger._view = tmp_path, View(tmp_path, Run(), log_checkpoint=False)
    return logger


def _append(folder, *lines):
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_experiment__what_is_logged_there_comes_in_the_next_row_and_makes_none(logger, tmp_path):
    logger.experiment.log({"mine": 1.0}, step=99)
    logger.experiment.log({"mine": 2.0, "a": 8.0}, commit=True)
    _append(tmp_path, {"step": 0, "a": 0.5}, {"step": 1, "a": 0.4}, {"step": 2, "a": 0.3})
    logger.log_metrics({})
    first = {"trainer/global_step": 0, "a": 0.5, "mine": 2.0}
    assert logger._view.run.rows == [(0, first), (1, {"trainer/global_step": 1, "a": 0.4})]
    assert logger.experiment.id == "one"


def test_experiment__of_a_run_that_is_offline_does_nothing():
    experiment = Wandb(mode="offline").experiment
    experiment.log({"a": 1}, step=3)
    experiment.config.update({"a": 1})
    experiment.summary["a"] = experiment.summary["b"]
    assert not hasattr(experiment, "__len__")


def test_wandb__disabled_does_without_wandb(fit, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_RUN_ID", "a/b:c")
    done = fit("--config", recipe(), "--config", "configs/logging/wandb.yaml", "--trainer.logger.mode", "disabled")
    assert done.code == 0, done.err
    assert "test/score" in done.metrics


def test_wandb__what_wandb_does_not_like_does_not_end_an_offline_run(fit, recipe, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "nonsense")
    monkeypatch.setenv("WANDB_RUN_ID", "a/b:c")
    done = fit("--config", recipe(), "--config", "configs/logging/wandb.yaml", "--trainer.logger.mode", "offline")
    assert done.code == 0, done.err
    assert done.err.count("warning: W&B, at the end: base_url") == 1
    assert "test/score" in done.metrics


def test_wandb__without_a_key_online_is_an_error_before_there_is_a_folder(fit, recipe, tmp_path):
    done = fit("--config", recipe(), "--config", "configs/logging/wandb.yaml", "--trainer.logger.mode", "online")
    assert done.code == 2
    assert "wandb login" in done.err
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.slow
def test_wandb__no_service_is_offline(fit, recipe, tmp_path, monkeypatch):
    with FakeWandb() as gone:
        for name in ("WANDB_BASE_URL", "WANDB_API_KEY", "HOME"):
            monkeypatch.setenv(name, gone.env(tmp_path / "home")[name])
    done = fit("--config", recipe(), "--config", "configs/logging/wandb.yaml")
    assert "W&B: offline (127.0.0.1 does not answer" in done.out
    assert len(list(done.folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1
    assert "warning: W&B" not in done.err


def test_wandb__ctrl_c_while_it_ends_gives_up_on_wandb_alone(logger, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(wandb_run, "deliver", interrupted)
    logger.finish(0)
    assert f"given up, as asked for; nothing of the run is lost; afterwards: python -m lightseg.sync {tmp_path}" in (
        capsys.readouterr().err
    )


def test_wandb__broken_run_does_not_end_as_a_finished_one(logger, monkeypatch):
    codes = []
    logger._view.run.finish = codes.append
    monkeypatch.setattr(logger._view, "follow", lambda: 1 / 0)
    logger.log_metrics({})
    logger.finish(0)
    assert codes == [1]


def test_sweep_settings__an_id_counts_only_with_a_sweep(monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    assert _sweep_settings() == {}
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    assert _sweep_settings() == {"id": "mine"}


def test_write_offline__what_fails_ends_the_run(logger, tmp_path, monkeypatch):
    codes = []
    logger._view.run.finish = codes.append
    monkeypatch.setattr(wandb_run, "open_view", lambda *_: logger._view)
    monkeypatch.setattr(logger._view, "follow", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        wandb_run.write_offline(tmp_path, 0)
    assert codes == [1]
