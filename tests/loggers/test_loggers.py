import csv
import os
import pty
import subprocess
import sys

import pytest

from lightseg.loggers import RunLog
from lightseg.loggers.run_log import read_log


def test_run_log__every_line_is_there_at_once(tmp_path):
    log = RunLog(tmp_path)
    log.log_metrics({"train/loss": 0.5, "epoch": 0.0}, step=3)
    log.log_metrics({"val/score": float("nan"), "epoch": 0.0}, step=3)
    assert read_log(tmp_path) == [
        {"step": 3, "train/loss": 0.5, "epoch": 0},
        {"step": 3, "val/score": None, "epoch": 0},
    ]


def test_run_log__table_has_a_column_per_name(tmp_path):
    log = RunLog(tmp_path)
    log.log_metrics({"b": 1.5, "epoch": 0}, step=1)
    log.log_metrics({"a": 2.5, "epoch": 1}, step=2)
    log.finalize("success")
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert rows == [{"step": "1", "epoch": "0", "a": "", "b": "1.5"}, {"step": "2", "epoch": "1", "a": "2.5", "b": ""}]


def _command(recipe_path, tmp_path):
    recipes = ["--config", recipe_path, "--config", "configs/logging/wandb.yaml"]
    return [*map(str, (sys.executable, "-m", "lightseg.fit", *recipes, "--runs_dir", tmp_path / "runs"))]


@pytest.mark.slow
def test_wandb__without_a_key_is_offline_and_asks_nothing(recipe, tmp_path):
    # a pseudo-terminal, where wandb would ask for a key
    parent, child = pty.openpty()
    done = subprocess.run(
        _command(recipe(), tmp_path), stdin=child, stdout=subprocess.PIPE, text=True, timeout=200, cwd=tmp_path
    )
    os.close(parent)
    os.close(child)
    assert done.returncode == 0
    assert "W&B: offline" in done.stdout
    folder = next(tmp_path.glob("runs/tiny/*"))
    assert list(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert (folder / "metrics.json").exists()


@pytest.mark.slow
def test_wandb__disabled(fit, recipe):
    outcome = fit("--config", recipe(), "--config", "configs/logging/wandb.yaml", "--trainer.logger.mode", "disabled")
    assert outcome.code == 0
