"""The sweeps of experiments/sweeps: W&B takes them, every trial of theirs is a valid command, and an agent runs one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightseg.cli.lightning_cli import LightsegCLI
from tests.conftest import ROOT
from tests.helpers.fake_wandb import FakeWandb

SWEEPS = sorted((ROOT / "experiments/sweeps").glob("*.yaml"))
WANDB = str(Path(sys.executable).with_name("wandb"))


def trials(sweep: dict) -> list[dict]:
    """As many trials as hold every value of a list, and both ends of a range, at least once."""
    choices = {
        key: it.get("values") or ([it["value"]] if "value" in it else [it["min"], it["max"]])
        for key, it in sweep["parameters"].items()
    }
    count = max(map(len, choices.values()))
    return [{key: values[number % len(values)] for key, values in choices.items()} for number in range(count)]


def get_value(config: dict, key: str):
    """The value at a key of the command line, which leaves out `init_args`."""
    for part in key.split("."):
        config = config if part in config else config["init_args"]
        config = config[part]
    return config


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep__every_trial_is_what_was_asked_for(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    sweep = yaml.safe_load(path.read_text())
    start, end = sweep["command"].index("lightseg.fit") + 1, sweep["command"].index("${args}")
    for trial in trials(sweep):
        args = [f"--{key}={value}" for key, value in trial.items()]
        # builds the net and the data set's module, so a misspelt encoder or loss shows as a misspelt key does
        config = yaml.safe_load(LightsegCLI([*sweep["command"][start:end], *args]).resolved_config())
        for key, value in trial.items():
            assert get_value(config, key) == (yaml.safe_load(value) if isinstance(value, str) else value)
        assert config["trainer"]["logger"]["class_path"] == "lightseg.loggers.Wandb"


def launch_sweep(path, env, folder) -> str:
    result = subprocess.run([WANDB, "sweep", path], env=env, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return re.search(r"wandb agent (\S+)", result.stderr)[1]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep__is_taken_by_wandb(path, tmp_path):
    with FakeWandb() as service:
        launch_sweep(path, service.env(tmp_path), tmp_path)
    (sweep,) = service.sweeps.values()
    assert yaml.safe_load(sweep["config"])["parameters"] == yaml.safe_load(path.read_text())["parameters"]
    assert sweep["project"] == "lightseg"
    assert service.unknown == []


@pytest.mark.slow
def test_sweep__an_agent_runs_a_trial_as_it_is(tmp_path):
    sweep = yaml.safe_load((ROOT / "experiments/sweeps/shapes_lr_width.yaml").read_text())
    # as it is, but for the number of images
    sweep["command"] += ["--data.train_size=32", "--data.val_size=8", "--data.test_size=8", "--data.num_workers=0"]
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep))
    with FakeWandb() as service:
        env = service.env(tmp_path)
        # the agent takes `python` from there
        env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "OMP_NUM_THREADS": "1"}
        name = launch_sweep(path, env, tmp_path)
        agent = [WANDB, "agent", "--count", "1", name]
        done = subprocess.run(agent, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (run,) = service.runs.values()
    assert run.state == "finished", done.stdout + done.stderr
    assert run.info["sweep"] == name.rpartition("/")[2]
    first = {"model.optimizer.lr": 0.001, "model.net.width": 8, "trainer.max_epochs": 5}
    assert {key: get_value(run.settings, key) for key in first} == first
    assert 0 < run.summary["best_val_score"] < 1
    (folder,) = tmp_path.glob("runs/unet/*")
    assert (folder / "metrics.json").is_file()
    assert service.unknown == []
