"""Weights files and run folders that an argument names."""

import json
import sys

import pytest

from lightseg.checkpoint.locate import follow_imports, model_file, run_folder, trained_run
from lightseg.errors import UserError


@pytest.fixture
def run(tmp_path):
    """Write a run folder with the last checkpoint alone."""
    folder = tmp_path / "runs" / "unet" / "2024-01-01"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "checkpoints" / "last.ckpt").touch()
    return folder


def test_model_file__best_comes_before_last(run):
    checkpoints = run / "checkpoints"
    assert model_file(run) == checkpoints / "last.ckpt"
    (checkpoints / "best.ckpt").touch()
    assert model_file(str(run)) == checkpoints / "best.ckpt"
    assert model_file(checkpoints / "last.ckpt") == checkpoints / "last.ckpt"


def test_trained_run__of_a_file_and_of_a_folder(run, tmp_path):
    file = run / "checkpoints" / "last.ckpt"
    assert trained_run(str(file)) == trained_run(str(run)) == (file, run)
    (tmp_path / "alone.ckpt").touch()
    assert trained_run(str(tmp_path / "alone.ckpt")) == (tmp_path / "alone.ckpt", None)


def test_run_folder__suggests_the_nearest_run(run):
    for path in (run.parent, run.parent.parent, run / "checkpoints"):
        with pytest.raises(UserError, match=f"no run folder, which has a config.yaml; did you mean {run}"):
            run_folder(str(path))
    with pytest.raises(UserError, match="--resume nowhere: .*there is no such file or folder"):
        run_folder("nowhere", "--resume")


def test_follow_imports__extends_the_path_once(run, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/a"])
    follow_imports(run)
    (run / "env.json").write_text(json.dumps({"import_path": ["/a", "/b"]}))
    for _ in range(2):
        follow_imports(run)
    assert sys.path == ["/a", "/b"]
