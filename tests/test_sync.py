import io
import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseg.files.atomic import locked
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.series import Plan, Series
from lightseg.sync import main
from lightseg.tracking import wandb_run, wandb_service
from lightseg.tracking.log_view import extent
from lightseg.tracking.mlflow_view import _SETTINGS
from lightseg.tracking.wandb_run import read, write
from lightseg.visualization.examples import Example, write_examples
from tests.helpers.fake_wandb import FakeWandb, account
from tests.helpers.forked_process import run_forked
from tests.helpers.processes import PATIENCE


@pytest.fixture
def sync(tmp_path):
    """The verb in a process of its own, which has no terminal."""

    def run(environment, *arguments):
        output = tmp_path / f"output{len(list(tmp_path.glob('output*')))}"
        return run_forked("lightseg.sync", [*map(str, arguments)], tmp_path, environment, output)

    return run


@pytest.fixture
def folder(tmp_path):
    """What a run that was killed after three steps leaves, made by hand."""
    folder = tmp_path / "runs" / "tiny" / "one"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"class_path": "lightseg.data.Shapes"}, "seed": 0}))
    records = {"git": {"commit": None}, "data": {"test": {"samples": 1, "sha256": "5ha"}}, "model": {"parameters": 1}}
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    (folder / "env.json").write_text(json.dumps({"packages": {}, "python": "3", "executable": "p", "import_path": []}))
    _log(folder, 3)
    return folder


def _log(folder, steps):
    lines = [{"step": step, "train/loss": 1.0 / (step + 1), "epoch": 0} for step in range(steps)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "torn')


def test_extent__newest_step_of_a_run_that_may_go_on_is_not_whole(folder):
    assert extent(folder) == {"step": 1, "rows": 2, "finished": False}
    (folder / "metrics.json").write_text("{}")
    assert extent(folder) == {"step": 2, "rows": 3, "finished": True}


def test_sync__no_run_folder(tmp_path, capsys):
    assert main([str(tmp_path / "nothing*")]) == 2
    assert "no run folder" in capsys.readouterr().err


def test_sync__the_runs_of_a_series_each_once(tmp_path, folder, capsys):
    _log(folder, 1)
    plan = Plan([], "", "g", None, [{"seed_everything": "0"}, {"seed_everything": "1"}])
    series = Series.create(str(tmp_path / "runs"), "tiny", plan, "20260102T030405-a1b2")
    for run in series.run_folders:
        shutil.copytree(folder, run)
    assert main([str(series.folder), str(tmp_path / "runs/tiny/*-00")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{run}: there is no whole step yet" for run in series.run_folders]


def test_sync__misspelt_option(capsys):
    assert main(["run", "--nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_sync__a_run_that_is_training_is_left_alone_and_the_others_are_not(tmp_path, folder, service, sync):
    other = shutil.copytree(folder, folder.parent / "two")
    with locked(folder):
        done = sync(service.env(tmp_path / "home"), folder.parent / "*")
    assert done.returncode == 2
    assert f"{folder}: it is training, or another process sends it" in done.stderr
    assert not (folder / "wandb.json").exists()
    assert read(other)["delivered"]["rows"] == 2
    assert [run.info["displayName"] for run in service.runs.values()] == ["tiny-two"]


@pytest.mark.slow
def test_sync__without_a_key(folder, sync):
    before = sorted(folder.rglob("*"))
    done = sync(account(folder.parent), folder)
    assert done.returncode == 2
    assert "wandb login" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path for path in sorted(folder.rglob("*")) if path.name != ".lock"] == before


@pytest.mark.slow
def test_sync__no_service(folder, sync):
    with FakeWandb() as gone:
        environment = gone.env(folder.parent)
    done = sync(environment, folder)
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "wandb.json").exists()


@pytest.mark.slow
def test_sync__goes_on_where_it_ended_and_then_has_nothing_to_do(tmp_path, folder, service, sync):
    environment = service.env(tmp_path / "home", WANDB_MODE="offline")
    assert sync(environment, folder.parent / "*", "--project", "other").returncode == 0
    (run,) = service.runs.values()
    assert (run.project, run.steps, run.info["groupName"]) == ("other", [0, 1], "tiny")
    request_count = len(service.requests)
    assert "all of it already" in sync(environment, folder).stdout
    assert len(service.requests) == request_count
    # it went on, and the memory of what has arrived is lost
    _log(folder, 5)
    (folder / "metrics.json").write_text(json.dumps({"train/seconds": 3.5}))
    write(folder, {key: value for key, value in read(folder).items() if key != "delivered"})
    assert sync(environment, folder).returncode == 0
    assert list(service.runs.values()) == [run]
    assert (run.steps, run.state, run.summary["train/seconds"]) == ([0, 1, 2, 3, 4], "finished", 3.5)
    history = run.history
    write(folder, {key: value for key, value in read(folder).items() if key != "delivered"})
    assert sync(environment, folder).returncode == 0
    assert run.history == history
    assert not (folder / "wandb").exists()


@pytest.mark.slow
def test_sync__what_does_not_arrive_is_an_error(tmp_path, folder, service, sync):
    service.fail = lambda method, path, op: 403 if path.endswith("file_stream") else None
    done = sync(service.env(tmp_path / "home"), folder)
    assert done.returncode == 1
    assert "call sync again" in done.stderr
    assert "delivered" not in read(folder)


@pytest.fixture
def here(tmp_path, service, monkeypatch, capsys):
    """The verb in this process, with an account at the service; returns its exit code and what it said of errors."""
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY", "HOME"):
        monkeypatch.setenv(name, service.env(tmp_path / "home")[name])
    # other work may slow the client and the service
    monkeypatch.setattr(wandb_service, "CONNECT", PATIENCE)
    monkeypatch.setattr(wandb_service, "ASK", PATIENCE)
    for name in ("START", "USE", "FINISH"):
        monkeypatch.setattr(wandb_run, name, PATIENCE)

    def run(*arguments):
        code = main([*map(str, arguments)])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("file", "content"), [("wandb.json", "{broken"), ("metrics.jsonl", '{"step": 0}\ngarbage\n'), ("env.json", None)]
)
def test_sync__damaged_folder(file, content, folder, here):
    (folder / file).unlink(missing_ok=True)
    if content:
        (folder / file).write_text(content)
    code, err = here(folder)
    assert code == 2
    assert file in err
    assert "sync again" not in err
    assert err.count("\n") == 1


def test_sync__project_that_cannot_be(folder, here):
    code, err = here(folder, "--project", "a b/c")
    assert code == 2
    assert "Invalid project name" in err
    assert "sync again" not in err


@pytest.mark.slow
def test_sync__to_another_project_is_a_run_of_its_own(folder, service, here):
    assert here(folder, "--project", "p1") == here(folder, "--project", "p2") == (0, "")
    assert {key[0]: run.steps for key, run in service.runs.items()} == {"p1": [0, 1], "p2": [0, 1]}


@pytest.mark.slow
def test_sync__best_and_lowest_are_those_of_all_the_run(folder, service, here):
    names, values = ("val/score", "val/iou/a.b", "val/iou/a*b", "val/iou/c*"), [0.9, 0.2, 0.1, 0.3]
    lines = [
        {"step": step, "train/loss": 1 - value, **dict.fromkeys(names, value)} for step, value in enumerate(values)
    ]
    text = [json.dumps(line) + "\n" for line in lines]
    (folder / "metrics.jsonl").write_text("".join(text[:2]))
    assert here(folder) == (0, "")
    (folder / "metrics.jsonl").write_text("".join(text))
    (folder / "metrics.json").write_text("{}")
    assert here(folder) == (0, "")
    (run,) = service.runs.values()
    assert run.steps == [0, 1, 2, 3]
    assert {name: run.summary[name] for name in names} == {name: {"max": 0.9} for name in names}
    assert run.summary["train/loss"] == {"min": pytest.approx(0.1)}
    assert run.summary["best_val_score"] == 0.9


def _finish(folder):
    """Let a folder made by hand be one of a finished segmentation, with the picture of a validation."""
    mask = np.array([[0, 1], [1, 255]], np.int64)
    example = Example("one", np.arange(12, dtype=np.uint8).reshape(2, 2, 3), mask, np.ones((2, 2), np.int64))
    palette = [(0, 0, 0), (9, 9, 9)]
    write_examples(folder / "images/worst", [example], ["a", "b"], palette)
    write_examples(folder / "images/samples/00000001", [example], ["a", "b"], palette)
    rows = np.array([[0, 0, 0, 1, 0], [0, 1, 2, 2, 3]], np.int64)
    PerImageResults("segmentation", "test", "data", "protocol", ["a", "b"], ["one"], np.arange(1), rows).write(folder)
    (folder / "confusion_test.csv").write_text("a,b\n0,1\n0,2\n")
    scores = {"test/score": 1 / 3, "test/iou/a": 0.0, "test/iou/b": 2 / 3}
    (folder / "metrics.json").write_text(json.dumps(scores))


@pytest.mark.slow
def test_sync__pictures_are_what_the_folder_has(folder, service, here):
    _finish(folder)
    assert here(folder) == (0, "")
    (run,) = service.runs.values()
    (samples,) = [row["val/samples"] for row in run.history if "val/samples" in row]
    content = {name: np.asarray(Image.open(io.BytesIO(file))) for name, file in run.files.items() if ".png" in name}
    np.testing.assert_array_equal(content[samples["filenames"][0]], np.arange(12).reshape(2, 2, 3))
    truth = samples["all_masks"][0]["ground_truth"]["path"]
    assert content[truth].dtype == np.uint8
    np.testing.assert_array_equal(content[truth], [[0, 1], [1, 255]])
    labels = run.config["_wandb"]["value"]["mask/class_labels"].values()
    assert [entry["value"] for entry in labels] == [{"0": "a", "1": "b", "255": "void"}] * 2


@pytest.mark.slow
def test_sync__what_did_not_come_of_the_last_row_comes_behind_it(folder, service, here, monkeypatch):
    _finish(folder)
    write(folder, {"id": "one", "project": "p", "log_checkpoint": True})
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/best.ckpt").write_bytes(b"weights")
    service.fail = lambda method, path, op: 403 if method == "PUT" else None
    with monkeypatch.context() as patch:
        patch.setattr(wandb_service, "ASK", 1.0)
        patch.setattr(wandb_run, "USE", 5.0)
        patch.setattr(wandb_run, "FINISH", 20.0)
        code, err = here(folder)
    assert code == 1
    assert "W&B has not confirmed yet that it has media/" in err
    assert "delivered" not in read(folder)
    (run,) = service.runs.values()
    assert (run.steps, run.state) == ([0, 1, 2], "finished")
    service.fail = None
    assert here(folder) == (0, "")
    assert run.steps == [0, 1, 2, 3]
    assert "trainer/global_step" not in run.history[-1]
    keys = {"val/samples", "test/worst", "test/per_class_table", "test/confusion_matrix_table"}
    assert keys <= run.history[-1].keys()
    assert all(run.history[-1][name]["path"] in run.files for name in keys if name != "val/samples")
    assert all(name in run.files for name in run.history[-1]["val/samples"]["filenames"])
    assert any(
        a["artifactCollectionName"] == "model-one" and a["state"] == "COMMITTED" for a in service.artifacts.values()
    )
    request_count = len(service.requests)
    assert here(folder) == (0, "")
    assert len(service.requests) == request_count


@pytest.mark.slow
def test_sync__a_copied_run_is_the_same_run(tmp_path, folder, service, sync):
    environment = service.env(tmp_path / "home")
    assert sync(environment, folder).returncode == 0
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert "all of it already" in sync(environment, copy).stdout
    assert len(service.runs) == 1


def test_sync__classes_that_overlap_have_a_layer_each_and_no_confusion_matrix(folder, service, here):
    masks = np.array([[[0, 1], [1, 1]], [[1, 1], [0, 255]]])
    example = Example("one", np.arange(12, dtype=np.uint8).reshape(2, 2, 3), masks, (masks == 1).astype(np.int64))
    for name in ("samples/00000000", "worst"):
        write_examples(folder / "images" / name, [example], ["a", "b"], [(0, 0, 0), (255, 255, 255)])
    rows = np.array([[0, 0, 3, 3, 3], [0, 1, 2, 2, 2]], np.int64)
    kind, names = "multilabel_segmentation", ["a", "b"]
    PerImageResults(kind, "test", "data", "protocol", names, ["one"], np.arange(1), rows).write(folder)
    (folder / "metrics.json").write_text(json.dumps({"test/score": 1.0, "test/iou/a": 1.0, "test/iou/b": 1.0}))
    assert here(folder) == (0, "")
    (run,) = service.runs.values()
    (samples,) = [row["val/samples"] for row in run.history if "val/samples" in row]
    content = {name: np.asarray(Image.open(io.BytesIO(file))) for name, file in run.files.items() if ".png" in name}
    layers = {name: content[layer["path"]].tolist() for name, layer in samples["all_masks"][0].items()}
    assert {name: layer for name, layer in layers.items() if "ground_truth" in name} == {
        "a, ground_truth": masks[0].tolist(),
        "b, ground_truth": masks[1].tolist(),
    }
    panels = {name for row in run.history for name in row if name.startswith("test/")}
    assert {"test/per_class_table", "test/worst"} <= panels
    assert not [name for name in panels if "confusion" in name]


@pytest.fixture
def _local_mlflow(monkeypatch):
    # set by the view as well, which would outlast the test
    for name, value in {**_SETTINGS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)


def _read_mlflow(folder):
    """The experiment, status and points of the loss of the only MLflow run of a run folder."""
    from mlflow.tracking import MlflowClient

    record = json.loads((folder / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=record["tracking_uri"])
    experiments = {each.experiment_id: each.name for each in client.search_experiments()}
    (run,) = client.search_runs([*experiments])
    points = [(point.step, point.value) for point in client.get_metric_history(record["run_id"], "train/loss")]
    return experiments[run.info.experiment_id], run.info.status, sorted(points)


@pytest.mark.usefixtures("_local_mlflow")
@pytest.mark.parametrize("tool", ["mlflow", "tensorboard"])
def test_sync__to_another_tool_sends_each_step_once_and_then_has_nothing_to_do(tool, folder, call):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    logger = {"class_path": "lightseg.loggers.MLflow", "init_args": {"experiment": "one", "tracking_uri": None}}
    config["trainer"] = {"logger": [{"class_path": "lightseg.loggers.TensorBoard"}, logger]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    title = {"mlflow": "MLflow", "tensorboard": "TensorBoard"}[tool]
    output = f"{folder}: 2 steps and 0 pictures sent, {title} has it up to step 1; the run is not finished\n"
    assert call(main, folder, "--to", tool) == (0, output, "")
    _log(folder, 5)
    _finish(folder)
    output = f"{folder}: 3 steps and 1 picture sent, {title} has it up to step 4\n"
    assert call(main, folder, "--to", tool) == (0, output, "")
    files = sorted(folder.rglob("*"))
    for _ in range(2):
        assert call(main, folder, "--to", tool) == (0, f"{folder}: {title} has all of it already\n", "")
    assert sorted(folder.rglob("*")) == files
    expected = [(step, pytest.approx(1 / (step + 1))) for step in range(5)]
    if tool == "mlflow":
        assert _read_mlflow(folder) == ("one", "FINISHED", expected)
    else:
        events = EventAccumulator(str(folder / "tensorboard")).Reload()
        assert [(point.step, point.value) for point in events.Scalars("train/loss")] == expected
        assert [image.step for image in events.Images("test/worst")] == [4]


@pytest.mark.usefixtures("_local_mlflow")
def test_sync__mlflow_that_does_not_answer(folder, call):
    shutil.copytree(folder, folder.parent / "two")
    code, out, err = call(main, folder.parent / "*", "--to", "mlflow", "--tracking_uri", "http://me:pw@127.0.0.1:1")
    assert (code, out) == (2, "")
    assert "MLflow at http://127.0.0.1:1 cannot be reached" in err
    assert err.count("\n") == 1
    assert not (folder / "mlflow.json").exists()


@pytest.mark.usefixtures("_local_mlflow")
@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "sqlite:///{}/x.db", "file://{}/store"])
def test_sync__a_store_that_the_run_folder_alone_names_gets_nothing(folder, call, tmp_path, address):
    address = address.format(tmp_path)
    (folder / "mlflow.json").write_text(json.dumps({"run_id": "1", "tracking_uri": address}))
    files = {*tmp_path.rglob("*")}
    code, out, err = call(main, folder, "--to", "mlflow")
    assert (code, out) == (2, "")
    assert err.endswith(f"if it is yours, give --tracking_uri {address}\n")
    assert {*tmp_path.rglob("*")} - files <= {folder / ".lock"}


@pytest.mark.usefixtures("_local_mlflow")
def test_sync__a_run_that_was_deleted_in_mlflow(folder, call):
    from mlflow.tracking import MlflowClient

    assert call(main, folder, "--to", "mlflow")[0] == 0
    record = json.loads((folder / "mlflow.json").read_text())
    MlflowClient(tracking_uri=record["tracking_uri"]).delete_run(record["run_id"])
    code, _, err = call(main, folder, "--to", "mlflow")
    assert code == 2
    assert f"{folder}/mlflow.json: MLflow at {record['tracking_uri']} no longer has this run" in err
    (folder / "mlflow.json").unlink()
    assert call(main, folder, "--to", "mlflow")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "tensorboard", "--project", "p"], "--project: is for --to wandb, not for tensorboard; leave it out"),
        (["--tracking_uri", "store"], "--tracking_uri: is for --to mlflow, not for wandb; leave it out"),
        (["--to", "tensorbord"], "did you mean tensorboard?"),
    ],
)
def test_sync__options_of_another_tool(options, message, folder, call):
    code, _, err = call(main, folder, *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
