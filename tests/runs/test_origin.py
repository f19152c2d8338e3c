"""Names of the trained models that a run started from or learned from."""

from lightseg.runs.origin import name_origin

CONFIG = {"name": "a", "model": {"class_path": "Task", "init_args": {"init": "/home/me/runs/b/1", "loss": "ce"}}}
RECORD = {"run": "b/1", "file": "best.ckpt", "sha256": "0123456789abcdef", "score": None, "classes": []}


def test_name_origin():
    named = name_origin(CONFIG, {"parameters": 1, "init": RECORD})
    assert named["model"]["init_args"] == {"init": "b/1 (best.ckpt, 01234567)", "loss": "ce"}
    assert CONFIG["model"]["init_args"]["init"] == "/home/me/runs/b/1"


def test_name_origin__of_a_longer_training_is_the_moment_from_which_it_goes_on():
    record = {**RECORD, "epoch": 4, "step": 120}
    config = {**CONFIG, "extend": "/home/me/runs/b/1"}
    assert name_origin(config, {"extend": record}) == {**CONFIG, "extend": "after epoch 4, step 120"}


def test_name_origin__of_a_run_without_a_record():
    assert name_origin(CONFIG, {"parameters": 1}) == CONFIG


def test_name_origin__of_teachers():
    config = {"model": {"class_path": "Task", "init_args": {"teacher": "b/1+c", "loss": "ce"}}}
    members = [RECORD, {**RECORD, "run": "c.ckpt", "file": "c.ckpt"}]
    named = name_origin(config, {"teacher": {"members": members, "parameters": 1, "gflops": 1.0}})
    teacher = "b/1 (best.ckpt, 01234567) + c.ckpt (c.ckpt, 01234567)"
    assert named["model"]["init_args"] == {"teacher": teacher, "loss": "ce"}
