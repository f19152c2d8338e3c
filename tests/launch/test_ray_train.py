"""Runs on a cluster of Ray on this machine."""

import json
import signal

import pytest
import torch

from tests.helpers.processes import DDP, PATIENCE, wait_for_run, wait_until
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.stateful_run import assert_same_run, read_logged_values

pytestmark = pytest.mark.extras
REFERENCES = []


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two nodes."""
    started = RayCluster()
    try:
        started.add_node()
        yield started
    finally:
        started.close()


@pytest.fixture
def acting_recipe(crashing_recipe, own_module):
    """Write a recipe whose callback records the stream, and acts as files beside it say."""
    own_module("crash", ACTING)
    return crashing_recipe


ACTING = """
import hashlib, os, pathlib, signal, time
import lightning as L

FOLDER = pathlib.Path(__file__).parent

class Crash(L.Callback):
    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        step, rank = trainer.global_step, trainer.global_rank
        digest = hashlib.sha256()
        for name in ("index", "image", "target"):
            digest.update(batch[name].numpy().tobytes())
        stream = FOLDER / pathlib.Path(trainer.default_root_dir).name
        stream.mkdir(exist_ok=True)
        (stream / f"{step}-{rank}").write_text(digest.hexdigest())
        if step == 8 and rank == 1 and (FOLDER / "kill").exists():
            (FOLDER / "kill").unlink()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(3600)
        stop = next(callback for callback in trainer.callbacks if hasattr(callback, "received"))
        while stream.name == "ray" and (FOLDER / f"hold{step}").exists() and not stop.received:
            time.sleep(0.05)
"""


REFUSING = """
import os, pathlib
import lightning as L
from lightseg.errors import ConfigError

class Crash(L.Callback):
    def __init__(self):
        with (pathlib.Path(__file__).parent / "tries").open("a") as file:
            file.write(os.environ.get("RANK", "no rank") + ", ")
        raise ConfigError("crash: is wrong")
"""


def stream(tmp_path, name):
    return {file.name: file.read_text() for file in (tmp_path / name).iterdir()}


def wait_for_step(process, tmp_path, step):
    """Wait until both ranks of the run on Ray are at a step."""
    wait_until(lambda: all((tmp_path / "ray" / f"{step}-{rank}").exists() for rank in range(2)), process)


@pytest.fixture
def assert_like_two_processes(acting_recipe, launch, tmp_path):
    """Assert that a run has the stream, the weights and the counts of one of two processes, which is made once."""

    def check(folder):
        if not REFERENCES:
            reference = wait_for_run(launch("--config", acting_recipe, "--name", "reference", *DDP))
            REFERENCES.append((reference, stream(tmp_path, "reference")))
        reference, expected_stream = REFERENCES[0]
        assert_same_run(folder, reference)
        for name in ("confusion_val.csv", "confusion_test.csv"):
            assert (folder / name).read_text() == (reference / name).read_text()
        assert len(expected_stream) == 2 * 20
        assert stream(tmp_path, "ray") == expected_stream

    return check


def resumed_steps(folder):
    return [json.loads(line)["after_step"] for line in (folder / "resumes.jsonl").read_text().splitlines()]


def test_ray__killed_and_stopped_ends_as_without(cluster, acting_recipe, assert_like_two_processes, tmp_path):
    (tmp_path / "kill").touch()
    (tmp_path / "hold14").touch()
    arguments = ["--storage-path", tmp_path / "runs", "--", "--config", acting_recipe, "--name", "ray"]
    stopped = cluster.launch(*arguments, cwd=tmp_path)
    wait_for_step(stopped, tmp_path, 14)
    (folder,) = tmp_path.glob("runs/ray/*")
    assert resumed_steps(folder) == [8]
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate(timeout=PATIENCE)
    assert stopped.returncode == 128 + signal.SIGTERM, err
    assert f"go on with: python -m lightseg.launch ray --nodes 2 --gpus 0 -- --resume {folder}\n" in err
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 15
    assert max(line["step"] for line in read_logged_values(folder)) == 14
    resumed = cluster.launch("--", "--resume", folder, cwd=tmp_path)
    assert wait_for_run(resumed) == folder
    assert resumed_steps(folder) == [8, 15]
    assert_like_two_processes(folder)


def test_ray__a_machine_that_is_taken_away_is_replaced(cluster, acting_recipe, assert_like_two_processes, tmp_path):
    (tmp_path / "hold6").touch()
    arguments = ["--max-failures", 0, "--", "--config", acting_recipe, "--name", "ray"]
    process = cluster.launch(*arguments, cwd=tmp_path)
    wait_for_step(process, tmp_path, 6)
    cluster.take_away(seconds=20)
    cluster.add_node()
    folder = wait_for_run(process)
    assert folder.parent == tmp_path / "runs/ray"
    assert resumed_steps(folder) == [7]
    assert_like_two_processes(folder)


def test_ray__bad_input_of_a_series_is_tried_once(cluster, crashing_recipe, own_module, tmp_path):
    own_module("crash", REFUSING)
    arguments = ["--nodes", 1, "--", "--config", crashing_recipe, "--seeds", "0,1"]
    process = cluster.launch(*arguments, cwd=tmp_path)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert "crash: is wrong" in err
    # the first run ends the series
    assert (tmp_path / "tries").read_text() == "no rank, "
