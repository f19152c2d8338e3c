"""Consistency of a scoring with the numbers of the run."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lightseg.errors import RunError
from lightseg.evaluation.consistency import compare
from lightseg.evaluation.scoring import Scored
from lightseg.metrics.per_image import PerImageResults

CONDITIONS = {"precision": "32-true", "device": "cpu", "images_per_pass": 4}


@dataclass
class Model:
    """Scored checkpoint of a run folder."""

    run: Path
    is_scored: bool = True

    @property
    def config(self):
        trainer = {"accelerator": "cpu", "precision": "32-true"}
        return {"trainer": trainer, "data": {"init_args": {"batch_size": 4}}}

    def images_per_pass(self, batch_size):
        return batch_size

    def recorded(self, name):
        path = self.run / name
        return json.loads(path.read_text()) if path.is_file() else {}


def _results(**changes):
    facts = {"kind": "segmentation", "split": "test", "data": "d", "protocol": "whole images", "classes": ["a"]}
    rows = np.array([[0, 0, 3, 4, 3]])
    return PerImageResults(**{**facts, "images": ["x"], "indices": np.array([0]), "rows": rows, **changes})


@pytest.fixture
def agree(tmp_path):
    """Compare scores with those of a run whose score is 0.5 and whose loss is undefined."""
    _results().write(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps({"test/score": 0.5, "test/loss": None}))

    def compare_with(score, loss=float("nan"), conditions=CONDITIONS, is_scored=True, **changes):
        scored = Scored({"score": score, "loss": loss}, None, _results(**changes), {})
        return compare(Model(tmp_path, is_scored), scored, conditions)

    return compare_with


def test_compare__equal_scores_and_undefined_ones_agree(agree):
    assert agree(0.5) == "as in metrics.json"


@pytest.mark.parametrize("changes", [{"protocol": "windows"}, {"images": ["y"]}, {"data": "e"}, {"is_scored": False}])
def test_compare__something_else_was_scored(agree, changes):
    assert agree(0.9, **changes) is None


def test_compare__the_last_bits_depend_on_the_conditions(agree):
    conditions = {**CONDITIONS, "precision": "bf16-mixed", "device": "NVIDIA"}
    assert agree(0.505, conditions=conditions) == (
        "test/score is 0.505000, but 0.500000 in metrics.json; precision, device differ, and with them the last bits"
    )
    with pytest.raises(RunError, match=r"^test/score is 0\.520000, but 0\.500000 in metrics\.json of the run"):
        agree(0.52, conditions=conditions)


def test_compare__under_the_same_conditions_nothing_may_differ(agree):
    with pytest.raises(RunError, match="its numbers cannot be trusted"):
        agree(0.505)
    with pytest.raises(RunError, match=r"^test/loss is 0\.100000, but undefined in metrics\.json"):
        agree(0.5, loss=0.1)
