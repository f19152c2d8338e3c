"""The run's log."""

import csv

from lightseg.loggers import RunLog
from lightseg.runs.metrics_log import read_log


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
