"""Records of a run at its start."""

import json
import os
import subprocess

import pytest
import torch
import yaml

from lightseg.hardware.cpu import usable_cores
from lightseg.runs.environment import describe, environment, kernels


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a repository with one commit the working directory; return a function that runs git in it."""

    def git(*arguments):
        options = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main")
        command = ["git", *options, *arguments]
        return subprocess.run(command, cwd=tmp_path / "repository", check=True, capture_output=True, text=True).stdout

    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/net.py").write_text("width = 4\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.chdir(tmp_path / "repository")
    return git


def _describe(folder):
    folder.mkdir()
    describe(folder, "name: x\n", "python -m lightseg.fit", {"train": {"samples": 3}}, {"parameters": 7})
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_describe__everything_that_a_run_depends_on(tmp_path, repository):
    records = _describe(tmp_path / "run")
    assert yaml.safe_load(records["config.yaml"]) == {"name": "x"}
    assert records["command.txt"] == "python -m lightseg.fit\n"
    assert json.loads(records["data.json"]) == {"train": {"samples": 3}}
    assert json.loads(records["model.json"]) == {"parameters": 7}
    commit = repository("rev-parse", "HEAD").strip()
    assert json.loads(records["git.json"]) == {"commit": commit, "dirty": False, "untracked": []}
    assert "git.diff" not in records


def test_describe__uncommitted_changes_are_kept(tmp_path, repository):
    (tmp_path / "repository/net.py").write_text("width = 8\n")
    (tmp_path / "repository/new.py").touch()
    records = _describe(tmp_path / "run")
    state = json.loads(records["git.json"])
    assert (state["dirty"], state["untracked"]) == (True, ["new.py"])
    assert "-width = 4\n+width = 8\n" in records["git.diff"]


def test_describe__programs_of_the_repository_do_not_run(tmp_path, repository):
    mark = tmp_path / "mark"
    for key, value in (
        ("core.fsmonitor", f"touch {mark}"),
        ("filter.evil.clean", f"touch {mark}"),
        ("filter.evil.process", f"touch {mark}"),
        ("diff.evil.command", f"touch {mark}"),
    ):
        repository("config", key, value)
    (tmp_path / "repository/.gitattributes").write_text("*.py filter=evil diff=evil\n")
    (tmp_path / "repository/net.py").write_text("width = 8\n")
    assert "+width = 8" in _describe(tmp_path / "run")["git.diff"]
    assert not mark.exists()


def test_describe__outside_of_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", os.fspath(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert json.loads(_describe(tmp_path / "run")["git.json"]) == {"commit": None}


def test_environment__versions_hardware_and_kernels(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "avx2")
    record = environment()
    assert record["packages"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert record["usable_cores"] == usable_cores()
    assert record["gpus"] == [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    assert kernels() == {name: record[name] for name in ("torch_threads", "cpu_capability", "onednn_max_cpu_isa")}
    assert record["onednn_max_cpu_isa"] == "avx2"
    assert record["torch_threads"] == torch.get_num_threads()
    json.dumps(record)
