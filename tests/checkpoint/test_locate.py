"""Weights files and run folders that an argument names."""

import json
import sys

import pytest

from lightseg.checkpoint.locate import follow_imports, model_file, run_folder, split_members, trained_run
from lightseg.errors import UserError
from lightseg.files.atomic import sha256
from lightseg.runs.series import Plan, Series


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


def test_split_members__parts_patterns_and_a_series(tmp_path):
    runs = [tmp_path / "runs" / name for name in ("b", "a", "c+d")]
    for run in runs:
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
    (tmp_path / "runs" / "other").mkdir()
    first, second, plus = map(str, runs)
    assert split_members(first) == [first]
    # a path that exists is one, whatever its name
    assert split_members(plus) == [plus]
    assert split_members(f"{first}+{second}") == [first, second]
    assert split_members(f"{tmp_path}/runs/?+hf://user/repo@main") == [second, first, "hf://user/repo@main"]
    with pytest.raises(UserError, match="twice"):
        split_members(f"{tmp_path}/runs/?+{first}")
    for text in ("+", f"{first}+", f"+{first}", f"{first}++{second}"):
        with pytest.raises(UserError, match="names no model at one side of a"):
            split_members(text)
    series = Series.create(str(tmp_path), "series", Plan([], "", "", None, [{"seed_everything": "0"}] * 2), "20260102")
    for folder in series.run_folders:
        folder.mkdir()
    assert split_members(str(series.folder)) == list(map(str, series.run_folders))


def test_split_members__of_an_evaluation_that_have_changed(tmp_path):
    files = [tmp_path / f"{number}.ckpt" for number in range(2)]
    for file in files:
        file.write_bytes(file.name.encode())
    members = [{"run": None, "checkpoint": str(file), "sha256": sha256(file)} for file in files]
    (tmp_path / "ensemble.json").write_text(json.dumps({"members": members}))
    assert split_members(tmp_path) == list(map(str, files))
    files[1].write_bytes(b"other")
    with pytest.raises(UserError, match="its member .*1.ckpt is missing or has changed; name the members, joined by"):
        split_members(tmp_path)
