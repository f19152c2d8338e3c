"""MLflow's view of a run, read back by mlflow from its local file store."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from lightseg.fit import main
from lightseg.tracking.mlflow_view import _SETTINGS, _valid_name, open_view, without_password
from tests.conftest import ROOT, TINY


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run, whose MLflow run is in the folder `store` beside the runs."""
    place = tmp_path_factory.mktemp("run")
    (place / "tiny.yaml").write_text(TINY)
    arguments = ["--config", str(place / "tiny.yaml"), "--config", str(ROOT / "configs/logging/mlflow.yaml")]
    arguments += ["--trainer.logger.tracking_uri", str(place / "store"), "--runs_dir", str(place / "runs")]
    with pytest.MonkeyPatch.context() as patch:
        _allow_store(patch)
        assert main(arguments) == 0
    return next((place / "runs/tiny").iterdir())


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    _allow_store(monkeypatch)


def _allow_store(patch):
    # set by the view as well, which would outlast this test
    for name, value in _SETTINGS.items():
        patch.setenv(name, value)


def _read(folder):
    """The client and the MLflow run of a run folder."""
    from mlflow.tracking import MlflowClient

    record = json.loads((folder / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=record["tracking_uri"])
    return client, client.get_run(record["run_id"])


def _assert_holds(folder):
    """MLflow has each number of the log once."""
    client, run = _read(folder)
    expected = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        step = line.pop("step")
        for name, value in line.items():
            if value is not None:
                expected.setdefault(name, {})[step] = value
    for name, points in expected.items():
        history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        assert sorted(step for step, _ in history) == sorted(points), name
        assert dict(history) == pytest.approx(points)


@pytest.mark.pictures
def test_mlflow__has_all_that_the_folder_has(run_folder):
    _assert_holds(run_folder)
    client, run = _read(run_folder)
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"tiny-{run_folder.name}")
    assert client.get_experiment(run.info.experiment_id).name == "lightseg"
    assert run.data.tags["group"] == "tiny"
    metrics = json.loads((run_folder / "metrics.json").read_text())
    for name in ("test/score", "test/iou/circle", "train/seconds"):
        assert run.data.metrics[name] == pytest.approx(metrics[name])
    assert run.data.metrics["val/score.max"] == pytest.approx(metrics["val/score"])
    assert run.data.params["data.init_args.batch_size"] == "4"
    recipe = client.download_artifacts(run.info.run_id, "config.yaml")
    with Path(recipe).open() as file:
        assert yaml.safe_load(file) == yaml.safe_load((run_folder / "config.yaml").read_text())
    pictures = {name: [file.path for file in client.list_artifacts(run.info.run_id, name)] for name in PICTURES}
    assert pictures == PICTURES


PICTURES = {
    "val/samples": ["val/samples/00000002.png", "val/samples/00000005.png"],
    "test/worst": ["test/worst/00000006.png"],
}


def test_mlflow_view__after_a_kill_has_each_step_once(run_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("mlflow.json", "images"))
    log = folder / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:4]))
    store = str(tmp_path / "store")
    open_view(folder, "one", store, None).follow()
    _, run = _read(folder)
    # a kill while the next row is written
    client, newest = _read(folder)[0], json.loads(lines[3])
    client.log_metric(run.info.run_id, "train/loss", newest["train/loss"], step=newest["step"])
    log.write_text("".join(lines))
    for _ in range(2):
        view = open_view(folder, "one", None, None)
        view.follow()
        view.complete()
        view.end(0)
    assert _read(folder)[1].info.run_id == run.info.run_id
    _assert_holds(folder)


def test_open_view__a_run_goes_on_where_it_was_unless_another_place_is_named(run_folder, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("mlflow.json", "images"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "first"))
    open_view(folder, "one", None, None)
    first = json.loads((folder / "mlflow.json").read_text())
    assert first["tracking_uri"] == (tmp_path / "first").as_uri()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    open_view(folder, "one", None, None)
    assert json.loads((folder / "mlflow.json").read_text()) == first
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "second"))
    open_view(folder, "one", None, None)
    assert json.loads((folder / "mlflow.json").read_text())["tracking_uri"] == (tmp_path / "second").as_uri()


def test_open_view__names_of_platforms_are_no_folders(tmp_path, monkeypatch):
    uris = []
    monkeypatch.setattr("mlflow.tracking.MlflowClient", lambda tracking_uri: uris.append(tracking_uri) or 1 / 0)
    for name in ("databricks", "runs"):
        with pytest.raises(ZeroDivisionError):
            open_view(tmp_path, "one", name, None)
    assert uris == ["databricks", Path("runs").resolve().as_uri()]


def test_valid_name__of_two_names_are_two():
    from mlflow.utils.validation import _validate_metric_name

    names = ["val/iou/sky", "val/iou/sky_", "val/iou/sky?", "val/iou/sky!"]
    valid = [_valid_name(name) for name in names]
    assert valid[:2] == names[:2]
    assert len({*valid}) == 4
    for name in valid:
        _validate_metric_name(name)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("https://me:secret@mlflow.example.org:5000/a?b=c", "https://mlflow.example.org:5000/a?b=c"),
        ("postgresql+psycopg2://me:se:cret@host/runs", "postgresql+psycopg2://host/runs"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
        ("file:///home/me@work/runs", "file:///home/me@work/runs"),
    ],
)
def test_record__has_no_password(uri, address):
    assert without_password(uri) == address
