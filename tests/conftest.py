"""Shared fixtures: an isolated environment, temporary recipes and modules, and the real command line."""

import contextlib
import itertools
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lightseg.fit import main
from tests.helpers.fake_wandb import FakeWandb
from tests.helpers.forked_process import ForkedProcess
from tests.helpers.stateful_run import DROPOUT_NET, STATEFUL_RECIPE
from tests.helpers.train import train

ROOT = Path(__file__).parent.parent

TINY = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
data:
  init_args: {image_size: 32, train_size: 12, val_size: 5, test_size: 5, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 2, log_every_n_steps: 1}
"""


SEGMENTER = """
base: [configs/data/shapes.yaml]
model:
  class_path: SegmentationTask
  init_args:
    net: {class_path: Segmenter, init_args: {encoder: test_resnet, head: linear}}
data:
  init_args: {image_size: 32, train_size: 8, val_size: 4, test_size: 4, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 2, log_every_n_steps: 1}
"""


@pytest.fixture(autouse=True, scope="session")
def _use_one_thread():
    # with more, tests that share their cores with others wait for each other
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _skip_fsync():
    # a tiny run waits 40 times for the disk, and only a machine that loses its power would show it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _use_float32():
    # no test depends on what this machine does fast; those of the choice take the variable away
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTSEG_PRECISION", "32-true")
        yield


@pytest.fixture(autouse=True, scope="session")
def _share_kernels(tmp_path_factory):
    # kernels that another session compiled for another instruction set crash; the processes of one share them
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        is_shared = "PYTEST_XDIST_WORKER" in os.environ
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str((folder.parent if is_shared else folder) / "kernels"))
        yield


@pytest.fixture(autouse=True)
def _keep_malloc_trim(monkeypatch):
    # the largest test would set the size of this process for all that follow; those in processes of their own keep it
    monkeypatch.setattr("lightseg.training.run.disable_malloc_trim", lambda: None)


@pytest.fixture(autouse=True)
def _skip_figures(request, monkeypatch):
    # drawing takes as long as all the rest of a tiny run; those in processes of their own draw
    if request.node.get_closest_marker("pictures") is None:
        monkeypatch.setattr("lightseg.training.report._draw", lambda *_: [])


@pytest.fixture(scope="session")
def _homes(tmp_path_factory):
    # pytest would look at all earlier folders for the number of each, which takes milliseconds
    place = tmp_path_factory.mktemp("homes")
    return (place / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _isolate_environment(_homes, monkeypatch):
    """Hide the caches, accounts and working directory of the person who runs the tests."""
    home = next(_homes)
    home.mkdir()
    for name in ("LIGHTSEG_CACHE", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.chdir(home)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a tiny run of an epoch of three steps, which no test changes."""
    return train(tmp_path_factory.mktemp("trained"), TINY, "--trainer.max_epochs", "1")


@dataclass
class Outcome:
    """Exit code, output and run folder of a command."""

    code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        return Path(self.out.strip().splitlines()[-1].removeprefix("run: "))

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def log(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def fit(capsys, tmp_path):
    """Call `fit` in this process as a user does."""

    def run(*args: object) -> Outcome:
        code = main([*map(str, args), "--runs_dir", str(tmp_path / "runs")])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return run


@pytest.fixture
def call(capsys):
    """Call a verb's `main` in this process, and return its exit code, stdout and stderr."""

    def run(main, *args: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*map(str, args)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def launch(tmp_path):
    """Start `fit` in a new process group, which is killed at the end of the test."""
    started = []

    def start(*arguments: object, **environment: str) -> ForkedProcess:
        command = [*map(str, arguments)]
        if "--resume" not in arguments:
            command += ["--runs_dir", str(tmp_path / "runs")]
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **environment}
        started.append(
            ForkedProcess("lightseg.fit", command, tmp_path, environment, tmp_path / f"output{len(started)}")
        )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Write a module beside the recipe, as a user does for a custom class."""

    def write(name: str, code: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        # another test may have one of the same name
        monkeypatch.delitem(sys.modules, name, raising=False)
        return path

    return write


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe; by default a tiny one."""

    def write(text: str = TINY, name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def crashing_recipe(recipe, own_module, monkeypatch):
    """Write a recipe with dropout, averaged weights, a learning-rate schedule, and a crashing callback."""
    own_module("dropout_net", DROPOUT_NET)
    own_module("crash", (ROOT / "tests/helpers/crash_callback.py").read_text())
    monkeypatch.setenv("CRASH_BY", "error")
    monkeypatch.delenv("CRASH", raising=False)
    return recipe(STATEFUL_RECIPE, "crashing.yaml")


@pytest.fixture
def service():
    """Start a W&B service, and assert that it knew every request."""
    with FakeWandb() as service:
        yield service
    assert service.unknown == []
