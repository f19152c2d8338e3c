"""Loggers that show the run folder elsewhere, in trouble."""

import importlib.util
import json

import pytest

from lightseg.loggers import MLflow, TensorBoard


@pytest.mark.parametrize(("tool", "package"), [("MLflow", "mlflow"), ("TensorBoard", "tensorboard")])
def test_prepare__without_the_package_names_the_extra(tool, package, fit, recipe, monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    module = f"lightseg.loggers.{package}.find_spec"
    monkeypatch.setattr(module, lambda name: None if name == package else find_spec(name))
    done = fit("--config", recipe(), "--trainer.logger", tool)
    assert done.code == 2
    assert f"trainer.logger: {tool} is not installed; pip install 'lightseg[{package}]'" in done.err
    assert not list(tmp_path.glob("runs/*/*"))


def test_attach__an_error_is_one_warning_and_ends_nothing(tmp_path, capsys):
    logger = MLflow()
    (tmp_path / "mlflow.json").write_text("[]")
    logger.attach(tmp_path)
    logger.log_metrics({})
    logger.finish(0)
    err = capsys.readouterr().err
    assert err.count("warning: MLflow, at the start: DataError: ") == 1
    assert "is damaged; delete it" in err
    assert f"nothing of the run is lost; afterwards: python -m lightseg.sync {tmp_path} --to mlflow" in err


def test_log_metrics__an_error_ends_the_view_alone(tmp_path, capsys, monkeypatch):
    logger = TensorBoard()
    for name in ("config.yaml", "git.json", "data.json", "model.json", "env.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr("lightseg.tracking.tensorboard_view.config", lambda _: {})
    logger.attach(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("damaged\n" + json.dumps({"step": 1}) + "\n")
    logger.log_metrics({})
    logger.log_metrics({})
    logger.finish(1)
    assert capsys.readouterr().err.count("warning: TensorBoard, while logging: JSONDecodeError") == 1


def test_finish__after_an_error_the_run_does_not_stay_running(tmp_path, capsys, monkeypatch):
    from mlflow.tracking import MlflowClient

    from lightseg.tracking.mlflow_view import _SETTINGS

    for name, value in _SETTINGS.items():
        monkeypatch.setenv(name, value)
    for name in ("config.yaml", "git.json", "data.json", "model.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "env.json").write_text('{"packages": {}}')
    logger = MLflow(tracking_uri=str(tmp_path / "store"))
    logger.attach(tmp_path)
    record = json.loads((tmp_path / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=record["tracking_uri"])
    assert client.get_run(record["run_id"]).info.status == "RUNNING"
    (tmp_path / "metrics.jsonl").write_text("damaged\n")
    logger.log_metrics({})
    logger.finish(0)
    assert client.get_run(record["run_id"]).info.status == "FAILED"
    assert capsys.readouterr().err.count("warning: MLflow, while logging: JSONDecodeError") == 1
