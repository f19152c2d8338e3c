import json
import shutil
import subprocess
import sys

import pytest
import yaml

from lightseg.files import locked
from lightseg.loggers.wandb_run import read, write
from lightseg.loggers.wandb_view import extent
from lightseg.sync import main
from tests.fake_wandb import FakeWandb, account


@pytest.fixture
def service():
    with FakeWandb() as service:
        yield service
    assert service.unknown == []


@pytest.fixture
def sync(tmp_path):
    """The verb in a process of its own, which has no terminal."""

    def run(environment, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "lightseg.sync", *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def folder(tmp_path):
    """What a run that was killed after three steps leaves, made by hand."""
    folder = tmp_path / "runs" / "tiny" / "one"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"class_path": "lightseg.data.Shapes"}, "seed": 0}))
    for name in ("git", "data", "model"):
        (folder / f"{name}.json").write_text(json.dumps({"of": name}))
    (folder / "env.json").write_text(json.dumps({"packages": {}, "python": "3", "executable": "p", "import_path": []}))
    _log(folder, 3)
    return folder


def _log(folder, steps):
    lines = [{"step": step, "train/loss": 1.0 / (step + 1), "epoch": 0} for step in range(steps)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "torn')


def test_extent__newest_step_of_a_run_that_may_go_on_is_not_whole(folder):
    assert extent(folder) == {"step": 1, "finished": False}
    (folder / "metrics.json").write_text("{}")
    assert extent(folder) == {"step": 2, "finished": True}


def test_sync__no_run_folder(tmp_path, capsys):
    assert main([str(tmp_path / "nothing*")]) == 2
    assert "no run folder" in capsys.readouterr().err


@pytest.mark.slow
def test_sync__a_run_that_is_training_is_left_alone(folder, service, sync):
    with locked(folder):
        done = sync(service.env(folder), folder)
    assert done.returncode == 2
    assert "another process is training in it" in done.stderr
    assert not service.requests
    assert not (folder / "wandb.json").exists()


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
    asked = len(service.requests)
    assert "all of it already" in sync(environment, folder).stdout
    assert len(service.requests) == asked
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


@pytest.mark.slow
def test_sync__a_copied_run_is_the_same_run(tmp_path, folder, service, sync):
    environment = service.env(tmp_path / "home")
    assert sync(environment, folder).returncode == 0
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert "all of it already" in sync(environment, copy).stdout
    assert len(service.runs) == 1
