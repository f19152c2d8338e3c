"""TrainJobs of Kubeflow."""

import re
import subprocess

from tests.helpers.launched import ODD, PRINT_WORDS, fit_arguments, torchrun_options, validate


def test_kubeflow__starts_torchrun_on_each_node(render, program, recipe, monkeypatch):
    program("torchrun", PRINT_WORDS)
    monkeypatch.setenv("PET_MASTER_ADDR", "job-node-0-0.job")
    job = validate(render("kubeflow", "--nodes", 2, "--gpus", 8, "--image", "a/b:1", arguments=ODD), "trainjob")
    trainer = job["spec"]["trainer"]
    assert job["spec"]["runtimeRef"] == {"name": "torch-distributed"}
    assert (trainer["numNodes"], trainer["resourcesPerNode"]) == (2, {"limits": {"nvidia.com/gpu": 8}})
    # as Kubernetes does: $$ is a dollar, and $(NAME) would be a variable
    words = [*trainer["command"], *trainer["args"]]
    assert not any(re.search(r"(?<!\$)(\$\$)*\$\(", word) for word in words)
    command = [word.replace("$$", "$") for word in words]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    assert torchrun_options(words)["--rdzv_endpoint"] == "job-node-0-0.job:29500"
    assert torchrun_options(words)["--rdzv_id"] == job["metadata"]["name"]
    assert {"name": "LIGHTSEG_JOB", "value": job["metadata"]["name"]} in trainer["env"]
    assert fit_arguments(words)[2:-2] == ODD
