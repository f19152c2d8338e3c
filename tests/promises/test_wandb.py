"""Trainings with W&B online, offline, killed and resumed, and with a troubled service."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import threading

import pytest
import yaml

from lightseg import sync
from tests.helpers.fake_wandb import Delay, account
from tests.helpers.forked_process import run_forked
from tests.helpers.processes import DDP, wait_until
from tests.helpers.stateful_run import hash_training_state, read_logged_values
from tests.helpers.wandb_file import read_run

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
def account_here(tmp_path, service):
    """The environment of a process with an account at the service."""
    return service.env(tmp_path / "home", OMP_NUM_THREADS="1", WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL="0.2")


@pytest.fixture
def train(tmp_path, recipe):
    """The verb in a process of its own, without a terminal; returns the ended process and its new run folder."""

    def run(environment, *arguments, code=0):
        given = [*map(str, ["--config", recipe(RECIPE), "--runs_dir", tmp_path / "runs", *arguments])]
        folders = tmp_path / "runs/tiny"
        before = {*folders.glob("*")}
        done = run_forked("lightseg.fit", given, tmp_path, environment, tmp_path / "output")
        assert done.returncode == code, done.stdout + done.stderr
        return done, next(iter({*folders.glob("*")} - before), None)

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


# beside other work the client may be slow
PATIENT = """
import lightning as L

from lightseg.tracking import wandb_run

wandb_run.START = wandb_run.USE = wandb_run.FINISH = 600.0


class Patient(L.Callback):
    pass
"""
OWN = (
    PATIENT
    + """

class Own(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        for log in trainer.loggers[1:]:
            log.experiment.log({"own": 1.0})
            log.experiment.log({"own/step": trainer.global_step}, step=0)
"""
)


def test_wandb__online_has_all_that_the_folder_has(service, account_here, own_module, train):
    own_module("own", OWN)
    options = ["--trainer.logger.log_checkpoint", "true", "--trainer.logger.tags", "[a]"]
    _, folder = train(account_here, *options, "--trainer.callbacks", "own.Own")
    (run,) = service.runs.values()
    _assert_holds(run.history, run.settings, folder)
    assert sum("own" in row and "own/step" in row for row in run.history) >= 8
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
    # the client waits for an answer, and so would the training
    operations = [operation for _, _, _, operation, _ in service.requests]
    assert operations.index("UseArtifact") > max(i for i, name in enumerate(operations) if name == "CreateArtifact")
    # neither paths nor host have left the machine, and nothing of wandb stays, in the run folder or outside of it
    assert "wandb-metadata.json" not in run.files
    assert not (folder / "wandb").exists()
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


def test_wandb__offline_writes_one_file_that_has_it_all_and_changes_no_number(tmp_path, train, reference):
    environment = {**account(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done, folder = train(environment, "--trainer.logger.log_checkpoint", "true")
    assert "W&B: offline (no API key" in done.stdout
    _assert_same_training(folder, reference)
    assert (folder / "images/samples").exists()
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


KILLED = (
    PATIENT
    + """
import os
import pathlib
import signal
import time


class Killed(L.Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 40 and not pathlib.Path("killed").exists():
            while not pathlib.Path("seen").exists():
                time.sleep(0.05)
            pathlib.Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
)


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_wandb__killed_and_resumed_each_step_is_there_once(mode, tmp_path, service, account_here, own_module, train):
    own_module("killed_once", KILLED)
    (tmp_path / "seen").touch()
    early_steps = []
    if mode == "online":
        (tmp_path / "seen").unlink()
        watch = threading.Thread(target=_tell_when_rows_have_come, args=(service, tmp_path / "seen", early_steps))
        watch.start()
    long = ["--trainer.max_epochs", "20", "--trainer.check_val_every_n_epoch", "5", "--save_every_n_steps", "7"]
    train(account_here, "--trainer.logger.mode", mode, *long, "--trainer.callbacks", "killed_once.Killed", code=-9)
    (folder,) = tmp_path.glob("runs/tiny/*")
    assert not list(folder.glob("wandb/offline-run-*"))
    done = run_forked("lightseg.fit", ["--resume", str(folder)], tmp_path, account_here, tmp_path / "resumed")
    assert done.returncode == 0, done.stderr
    if mode == "online":
        watch.join()
        (run,) = service.runs.values()
        assert run.state == "finished"
        # some had come before, and not all
        assert 0 < len(early_steps[0]) < len(run.steps)
        _assert_holds(run.history, run.settings, folder)
        _assert_best_and_lowest(run.summary, folder)
    else:
        (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        run = read_run(file)
        _assert_holds(run.history, run.config, folder)
        assert not service.requests


def _assert_best_and_lowest(summary, folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    extrema = {
        name: value for name, value in summary.items() if isinstance(value, dict) and {"max", "min"} & value.keys()
    }
    assert {"val/score", "val/loss", "train/loss"} <= extrema.keys()
    for name, recorded in extrema.items():
        values = [line[name] for line in lines if line.get(name) is not None]
        assert recorded == {"max": pytest.approx(max(values))} or recorded == {"min": pytest.approx(min(values))}


def _tell_when_rows_have_come(service, path, early_steps):
    wait_until(lambda: any(run.steps for run in list(service.runs.values())))
    (run,) = service.runs.values()
    early_steps.append(run.steps)
    path.touch()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The same run without W&B."""
    place = tmp_path_factory.mktemp("reference")
    (place / "tiny.yaml").write_text(RECIPE)
    command = ["--config", "tiny.yaml", "--runs_dir", "runs", "--trainer.logger.mode", "disabled"]
    done = run_forked("lightseg.fit", command, place, account(place), place / "output")
    assert done.returncode == 0, done.stderr
    (folder,) = place.glob("runs/tiny/*")
    assert not list(folder.glob("wandb*"))
    assert not (folder / "images/samples").exists()
    return folder


def _assert_same_training(folder, reference):
    assert read_logged_values(folder) == read_logged_values(reference)
    for name in ("last.ckpt", "best.ckpt"):
        assert hash_training_state(folder, name) == hash_training_state(reference, name)


@pytest.fixture
def synced(account_here, monkeypatch, capsys):
    """Call the verb in this process; returns what it printed."""
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY", "HOME"):
        monkeypatch.setenv(name, account_here[name])

    def run(folder):
        code = sync.main([str(folder)])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


def _assert_sync_delivers(service, folder, synced):
    for _ in range(2):
        output = synced(folder)
        (run,) = service.runs.values()
        _assert_holds(run.history, run.settings, folder)
        assert run.state == "finished"
        request_count, state = len(service.requests), json.dumps([run.stream, run.config, run.summary])
        _assert_pictures(run, folder)
    assert "W&B has all of it already" in output
    assert (len(service.requests), json.dumps([run.stream, run.config, run.summary])) == (request_count, state)


# what never comes need not be waited for as long as by default
IMPATIENT = """
import lightning as L

from lightseg.tracking import wandb_run

wandb_run.START, wandb_run.FINISH, wandb_run.TEARDOWN = 3.0, 3.0, 2.0


class Impatient(L.Callback):
    pass
"""


@pytest.mark.parametrize("answer", [Delay(0.7), 500], ids=["slow", "errors"])
def test_wandb__a_troubled_service_changes_nothing_and_sync_delivers(
    answer, service, account_here, own_module, train, reference, synced
):
    service.fail = lambda method, path, op: answer
    own_module("impatient", IMPATIENT)
    done, folder = train(account_here, *(["--trainer.callbacks", "impatient.Impatient"] if answer == 500 else []))
    _assert_same_training(folder, reference)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("warning: W&B") <= 1
    service.fail = None
    _assert_sync_delivers(service, folder, synced)


WAITING = """
import pathlib
import time

import lightning as L

from lightseg.tracking import wandb_run

# what never comes need not be waited for as long as by default
wandb_run.FINISH, wandb_run.TEARDOWN = 3.0, 2.0


class Waiting(L.Callback):
    def on_train_batch_start(self, trainer, *_):
        while trainer.global_step == 4 and not pathlib.Path("lost").exists():
            time.sleep(0.05)
"""


def _cores(place):
    """The processes of wandb's own that were started from a place."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            mine = f"HOME={place / 'home'}".encode() in (process / "environ").read_bytes().split(b"\0")
            if mine and b"wandb-core" in (process / "cmdline").read_bytes():
                yield int(process.name)
        except OSError:  # it has ended, or is another user's
            continue


@pytest.mark.parametrize("loss", ["connection", "killed", "stopped"])
def test_wandb__lost_in_mid_run_changes_nothing_and_sync_delivers(
    loss, tmp_path, service, account_here, own_module, train, reference, synced
):
    def lose():
        wait_until(lambda: any(run.steps for run in list(service.runs.values())))
        if loss == "connection":
            service.close()
        else:
            for core in _cores(tmp_path):
                lost.append(core)
                os.kill(core, signal.SIGKILL if loss == "killed" else signal.SIGSTOP)
        (tmp_path / "lost").touch()

    own_module("waiting", WAITING)
    lost = []
    losing = threading.Thread(target=lose)
    losing.start()
    done, folder = train(account_here, "--trainer.callbacks", "waiting.Waiting")
    losing.join()
    assert bool(lost) == (loss != "connection")
    assert not list(_cores(tmp_path))
    _assert_same_training(folder, reference)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("warning: W&B") == 1
    assert done.stdout.splitlines()[-1] == f"run: {folder}"
    if loss == "connection":
        service.open()
    _assert_sync_delivers(service, folder, synced)


def test_wandb__two_processes_are_one_run(service, account_here, own_module, train):
    own_module("patient", PATIENT)
    done, folder = train(account_here, *DDP, "--data.batch_size", "4", "--trainer.callbacks", "patient.Patient")
    (run,) = service.runs.values()
    _assert_holds(run.history, run.settings, folder)
    assert done.stdout.count("W&B: http") == 1


def test_wandb__without_a_key_asks_nothing_on_a_terminal(recipe, tmp_path):
    # there wandb would ask for one
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "lightseg.fit", "--config", recipe(RECIPE), "--runs_dir", tmp_path / "runs"]
    done = subprocess.run(
        [*map(str, command)],
        env=account(tmp_path / "home"),
        stdin=child,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    os.close(parent)
    os.close(child)
    assert done.returncode == 0
    assert "W&B: offline (no API key" in done.stdout
    (folder,) = tmp_path.glob("runs/tiny/*")
    assert len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1
