"""Task files of SkyPilot."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lightseg.launch.__main__ import main
from tests.conftest import ROOT
from tests.helpers.launched import ODD, PRINT_WORDS, fit_arguments, torchrun_options, validate, words_of


def test_skypilot__starts_torchrun_on_each_node(render, program, recipe, monkeypatch):
    program("torchrun", PRINT_WORDS)
    monkeypatch.setenv("SKYPILOT_NODE_IPS", "10.0.0.1\n10.0.0.2")
    options = ["--nodes", 2, "--gpus", 8, "--gpu-type", "H100", "--setup", "pip install lightseg", "--setup", "ls"]
    task = validate(render("skypilot", *options, arguments=ODD), "skypilot_task")
    assert task["resources"] == {"accelerators": "H100:8"}
    assert (task["num_nodes"], task["setup"], task["name"]) == (2, "pip install lightseg\nls", "tiny")
    words = words_of(task["run"])
    assert torchrun_options(words) == {
        "--nnodes": "2",
        "--nproc_per_node": "8",
        "--max-restarts": "3",
        "--rdzv_backend": "c10d",
        "--rdzv_endpoint": "10.0.0.1:29500",
        "--rdzv_id": task["envs"]["LIGHTSEG_JOB"],
    }
    size = ["--trainer.num_nodes=2", "--trainer.devices=8"]
    assert fit_arguments(words) == ["--config", str(recipe()), *ODD, *size]


@pytest.mark.slow
def test_skypilot__job_that_is_started_again_goes_on_with_its_run(call, crashing_recipe, tmp_path):
    arguments = ["--config", crashing_recipe, "--runs_dir", tmp_path / "runs"]
    code, out, err = call(main, "skypilot", "--gpu-type", "H100", "--gpus", 2, "--", *arguments)
    assert code == 0, err
    task = validate(out, "skypilot_task")
    with socket.socket() as connection:
        connection.bind(("", 0))
        port = connection.getsockname()[1]
    # the cluster starts the job again, instead of torchrun the processes
    run = task["run"].replace("--max-restarts 3", "--max-restarts 0").replace(":29500", f":{port}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **task["envs"], "PATH": path, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    environment |= {"SKYPILOT_NODE_IPS": "127.0.0.1", "OMP_NUM_THREADS": "1", "CRASH_BY": "kill"}
    for crash, is_finished in (("on_train_batch_end:9", False), ("", True)):
        variables = {**environment, "CRASH": crash}
        done = subprocess.run(["bash", "-c", run], env=variables, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode == 0) == is_finished, done.stdout + done.stderr
        (folder,) = tmp_path.glob("runs/crashing/*")
        assert (folder / "metrics.json").exists() == is_finished
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert len((folder / "resumes.jsonl").read_text().splitlines()) == 1
