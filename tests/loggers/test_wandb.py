import json
import os
import pty
import subprocess
import sys
import threading
import time

import pytest
import yaml

from lightseg.loggers import Wandb
from tests.crashing import numbers, weights
from tests.fake_wandb import Delay, FakeWandb, account
from tests.wandb_file import read_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECIPE = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml, configs/logging/wandb.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
data:
  init_args: {image_size: 32, train_size: 12, val_size: 5, test_size: 5, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 3, log_every_n_steps: 1}
"""


@pytest.fixture
def service():
    with FakeWandb() as service:
        yield service
    assert service.unknown == []


@pytest.fixture
def account_here(tmp_path, service):
    """The environment of a process with an account at the service."""
    return service.env(tmp_path / "home", OMP_NUM_THREADS="1", WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL="0.2")


@pytest.fixture
def train(tmp_path, recipe):
    """The verb in a process of its own, without a terminal; returns the ended process and the run folder."""

    def run(environment, *arguments, code=0):
        given = ["--config", recipe(RECIPE), "--runs_dir", tmp_path / "runs"]
        command = [sys.executable, "-m", "lightseg.fit", *map(str, [*given, *arguments])]
        done = subprocess.run(
            command,
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done, max((tmp_path / "runs").glob("tiny/*"), default=None)

    return run


def _log_steps(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return sorted({json.loads(line)["step"] for line in lines})


def _assert_holds(history, config, folder):
    """What W&B has of a run is what its folder has: each step once, each number, and the config as it ran."""
    assert [row["_step"] for row in history] == _log_steps(folder)
    rows = {row["_step"]: row for row in history}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        line = {name: value for name, value in json.loads(line).items() if value is not None}
        step = line.pop("step")
        # a step that is taken again takes another time
        line.pop("train/images_per_s", None)
        assert {name: rows[step][name] for name in line} == pytest.approx(line)
        assert rows[step]["trainer/global_step"] == step
    facts = config.pop("run")
    assert config == yaml.safe_load((folder / "config.yaml").read_text())
    assert facts["data"] == json.loads((folder / "data.json").read_text())
    assert facts["model"] == json.loads((folder / "model.json").read_text())


def test_wandb__online_has_all_that_the_folder_has(service, account_here, train):
    _, folder = train(account_here, "--trainer.logger.log_checkpoint", "true", "--trainer.logger.tags", "[a]")
    (run,) = service.runs.values()
    _assert_holds(run.history, run.settings, folder)
    assert (run.state, run.exitcode) == ("finished", 0)
    assert {"groupName": "tiny", "jobType": "fit", "tags": ["a"], "displayName": f"tiny-{folder.name}"}.items() <= (
        run.info.items()
    )
    _assert_pictures(run, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert run.summary["test/score"] == pytest.approx(metrics["test/score"])
    assert run.summary["best_val_score"] == pytest.approx(metrics["val/score"])
    assert run.summary["val/score"] == {"max": pytest.approx(metrics["val/score"])}
    assert list(run.summary["val/loss"]) == ["min"]
    named = {artifact["artifactCollectionName"]: artifact for artifact in service.artifacts.values()}
    model = named[f"model-{run.id}"]
    assert {"latest", "best"} == {alias["alias"] for alias in model["aliases"]}
    assert json.loads(model["metadata"])["score"] == pytest.approx(metrics["val/score"])
    assert json.loads(named["data-Shapes"]["metadata"]) == json.loads((folder / "data.json").read_text())
    assert service.used == [named["data-Shapes"]["id"]]
    # nothing of wandb is outside of the run folder
    assert not list((folder.parents[2] / "home").rglob("*wandb*"))


def _assert_pictures(run, folder):
    samples = {row["_step"]: row["val/samples"] for row in run.history if "val/samples" in row}
    assert sorted(samples) == sorted(int(path.name) for path in (folder / "images/samples").iterdir()) == [2, 5, 8]
    captions = [sample["captions"] for sample in samples.values()]
    assert captions == [captions[0]] * 3
    assert len(captions[0]) == 4
    for sample in samples.values():
        assert [set(masks) for masks in sample["all_masks"]] == [{"prediction", "ground_truth"}] * 4
        assert all(name in run.files for name in sample["filenames"])
        assert all(mask["path"] in run.files for masks in sample["all_masks"] for mask in masks.values())
    last = run.history[-1]
    worst = json.loads(run.files[last["test/worst"]["path"]])
    assert worst["columns"][:4] == ["image", "name", "mIoU", "IoU background"]
    scores = [row[2] for row in worst["data"]]
    assert scores == sorted(scores)
    assert len(scores) == 5
    matrix = json.loads(run.files[last["test/confusion_matrix_table"]["path"]])["data"]
    counts = [line.split(",") for line in (folder / "confusion_test.csv").read_text().splitlines()[1:]]
    assert [cell[2] for cell in matrix] == [int(count) for row in counts for count in row]
    bars = dict(json.loads(run.files[last["test/per_class_table"]["path"]])["data"])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert bars == {name: pytest.approx(metrics[f"test/iou/{name}"]) for name in bars}
    assert set(run.config["_wandb"]["value"]["visualize"]) == {"test/confusion_matrix", "test/per_class"}


def test_wandb__offline_writes_one_file_that_has_it_all(tmp_path, train):
    _, folder = train(account(tmp_path / "home"), "--trainer.logger.log_checkpoint", "true")
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    run = read_run(file)
    _assert_holds(run.history, run.config, folder)
    assert (run.exit_code, run.group) == (0, "tiny")
    assert run.summary["best_val_score"] == run.summary["val/score"]["max"]
    last = run.history[-1]
    assert {"test/worst", "test/confusion_matrix_table", "test/per_class_table"} <= last.keys()
    assert sum("val/samples" in row for row in run.history) == 3
    assert any(name.startswith("model-") for name in run.artifacts)
    assert not list((tmp_path / "home").rglob("*wandb*"))


KILLED = """
import os
import pathlib
import signal
import time

import lightning as L


class Killed(L.Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 40 and not pathlib.Path("killed").exists():
            while not pathlib.Path("seen").exists():
                time.sleep(0.05)
            pathlib.Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_wandb__killed_and_resumed_each_step_is_there_once(mode, tmp_path, service, account_here, own_module, train):
    own_module("killed_once", KILLED)
    (tmp_path / "seen").touch()
    seen = []
    if mode == "online":
        (tmp_path / "seen").unlink()
        watch = threading.Thread(target=_tell_when_rows_have_come, args=(service, tmp_path / "seen", seen))
        watch.start()
    long = ["--trainer.max_epochs", "20", "--trainer.check_val_every_n_epoch", "5", "--save_every_n_steps", "7"]
    train(account_here, "--trainer.logger.mode", mode, *long, "--trainer.callbacks", "killed_once.Killed", code=-9)
    (folder,) = tmp_path.glob("runs/tiny/*")
    assert not list(folder.glob("wandb/offline-run-*"))
    done = subprocess.run(
        [sys.executable, "-m", "lightseg.fit", "--resume", str(folder)],
        env=account_here,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        timeout=400,
    )
    assert done.returncode == 0
    if mode == "online":
        watch.join()
        (run,) = service.runs.values()
        assert run.state == "finished"
        # some had come before, and not all
        assert 0 < len(seen[0]) < len(run.steps)
        _assert_holds(run.history, run.settings, folder)
    else:
        (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        run = read_run(file)
        _assert_holds(run.history, run.config, folder)
        assert not service.requests


def _tell_when_rows_have_come(service, path, seen):
    _wait_until(lambda: any(run.steps for run in list(service.runs.values())))
    (run,) = service.runs.values()
    seen.append(run.steps)
    path.touch()


def _wait_until(there, seconds=300):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def reference(tmp_path, train):
    """The same run without W&B."""
    home = account(tmp_path / "home")
    train({**home, "OMP_NUM_THREADS": "1"}, "--trainer.logger.mode", "disabled", "--name", "without")
    return max((tmp_path / "runs").glob("without/*"))


def _dies(service):
    def fail(method, path, op):
        # the history has begun to come: from now on nobody answers
        if any(len(run.stream["wandb-history.jsonl"]) for run in service.runs.values()):
            return 503
        return None

    return fail


@pytest.mark.parametrize(
    "trouble",
    [
        lambda service: lambda method, path, op: Delay(0.7),
        lambda service: lambda method, path, op: 500,
        _dies,
    ],
    ids=["slow", "errors", "dies"],
)
def test_wandb__a_troubled_service_changes_nothing_and_sync_delivers(
    trouble, tmp_path, service, account_here, train, reference
):
    service.fail = trouble(service)
    done, folder = train(account_here)
    assert numbers(folder) == numbers(reference)
    for name in ("last.ckpt", "best.ckpt"):
        assert weights(folder, name) == weights(reference, name)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("warning: W&B") <= 1
    service.fail = None
    command = [sys.executable, "-m", "lightseg.sync", str(folder)]
    for _ in range(2):
        synced = subprocess.run(
            command,
            env=account_here,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert synced.returncode == 0, synced.stderr
        (run,) = service.runs.values()
        _assert_holds(run.history, run.settings, folder)
        assert run.state == "finished"
        asked, state = len(service.requests), json.dumps([run.stream, run.config, run.summary])
        _assert_pictures(run, folder)
    assert "W&B has all of it already" in synced.stdout
    assert (len(service.requests), json.dumps([run.stream, run.config, run.summary])) == (asked, state)


def test_wandb__two_processes_are_one_run(service, account_here, train):
    _, folder = train(account_here, "--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "4")
    (run,) = service.runs.values()
    _assert_holds(run.history, run.settings, folder)
    assert len(list(folder.glob("wandb/run-*"))) == 1


def test_wandb__without_a_key_online_is_an_error_before_there_is_a_folder(tmp_path, train):
    done, folder = train(account(tmp_path / "home"), "--trainer.logger.mode", "online", code=2)
    assert "wandb login" in done.stderr
    assert "Traceback" not in done.stderr
    assert folder is None


@pytest.mark.parametrize("terminal", [True, False])
def test_wandb__without_a_key_asks_nothing(terminal, recipe, tmp_path):
    # on a pseudo-terminal wandb would ask for one
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "lightseg.fit", "--config", recipe(RECIPE), "--runs_dir", tmp_path / "runs"]
    done = subprocess.run(
        [*map(str, command)],
        env=account(tmp_path / "home"),
        stdin=child if terminal else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=400,
        cwd=tmp_path,
    )
    os.close(parent)
    os.close(child)
    assert done.returncode == 0
    assert "W&B: offline (no API key" in done.stdout
    (folder,) = tmp_path.glob("runs/tiny/*")
    assert len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1


def test_wandb__no_service_is_offline(tmp_path, train):
    with FakeWandb() as gone:
        environment = gone.env(tmp_path / "home")
    done, folder = train(environment)
    assert "W&B: offline (127.0.0.1 does not answer" in done.stdout
    assert len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1


def test_wandb__disabled_leaves_nothing(tmp_path, train):
    _, folder = train(account(tmp_path / "home"), "--trainer.logger.mode", "disabled")
    assert not list(folder.glob("wandb*"))
    assert not (folder / "images/samples").exists()


def test_wandb__samples_leave_the_numbers_as_they_are(tmp_path, train, reference):
    _, folder = train({**account(tmp_path / "home"), "OMP_NUM_THREADS": "1"}, "--trainer.logger.mode", "offline")
    assert (folder / "images/samples").exists()
    assert not (reference / "images/samples").exists()
    assert numbers(folder) == numbers(reference)
    for name in ("last.ckpt", "best.ckpt"):
        assert weights(folder, name) == weights(reference, name)


def test_wandb__experiment_of_a_run_that_is_offline_does_nothing():
    logger = Wandb(mode="offline")
    logger.experiment.log({"a": 1})
    assert logger.experiment is logger.experiment
