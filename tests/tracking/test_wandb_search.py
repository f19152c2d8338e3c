"""The W&B run of a search, written offline and read back."""

import json

import numpy as np
import pytest

from lightseg.tracking import wandb_run
from lightseg.tracking.wandb_search import show_search
from lightseg.visualization.figures import pareto_front
from tests.helpers.wandb_file import read_run

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6}
REPORT = {
    "objective": ["score", "flops"],
    "trials": [
        {
            "number": 0,
            "run": "a-00",
            "state": "complete",
            "options": {"model.net.width": "8"},
            "values": {"score": 0.5, "flops": 2.0},
        },
        {"number": 1, "run": "a-01", "state": "fail", "options": {"model.net.width": "4"}, "values": None},
    ],
    "front": [0],
    "winner": {"trial": 0, "selection": {"val": SCORE}, "retraining": {"val": {**SCORE, "value": 0.25}}},
}


@pytest.fixture
def folders(tmp_path):
    search, trial = tmp_path / "tiny" / "search-a", tmp_path / "tiny" / "a-00"
    (trial / "wandb" / "offline-run-1").mkdir(parents=True)
    search.mkdir()
    (search / "report.json").write_text(json.dumps(REPORT))
    pareto_front(np.array([[2.0, 50.0]]), [0], ["trial 0"], ("GFLOPs", "val"), search / "pareto_flops.png")
    return search, trial


def test_search__is_a_run_with_the_table_of_its_trials(folders):
    search, trial = folders
    wandb_run.write(trial, {"id": "b", "project": "roads", "group": "night", "job_type": "trial"})
    assert show_search(search, trial, "night", {"trials": 2}) == "offline"
    # the report is made again
    assert show_search(search, trial, "night", {"trials": 2}) == "offline"
    (file,) = search.glob("wandb/offline-run-*/*.wandb")
    run = read_run(file)
    assert (run.project, run.group, run.job_type, run.name) == ("roads", "night", "search", "tiny-search-a")
    assert run.id == wandb_run.read(search)["id"]
    assert (run.config, run.exit_code, len(run.history)) == ({"study": {"trials": 2}}, 0, 1)
    assert run.summary["winner"] == 0
    assert (run.summary["selection/val/score"], run.summary["retraining/val/score"]) == (0.5, 0.25)
    assert run.history[0]["pareto_flops"]["_type"] == "image-file"
    table = json.loads((file.parent / "files" / run.history[0]["trials"]["path"]).read_text())
    assert table["columns"] == ["trial", "run", "state", "is on the front", "score", "flops", "model.net.width"]
    assert table["data"] == [
        [0, "a-00", "complete", True, 0.5, 2.0, "8"],
        [1, "a-01", "fail", False, None, None, "4"],
    ]


def test_search__is_not_shown_without_its_trials_or_twice(folders):
    search, trial = folders
    assert show_search(search, trial, "night", {}) is None
    assert not (search / "wandb.json").exists()
    wandb_run.write(trial, {"id": "b", "project": "roads"})
    wandb_run.write(search, {"id": "c", "delivered": True})
    assert show_search(search, trial, "night", {}) is None
