"""Task files of SkyPilot."""

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
