"""Records of a run folder, as they are read."""

import json
import os

import pytest

from lightseg.errors import UserError
from lightseg.runs.records import is_finished, read_mapping, read_precision


def test_read_mapping__yaml_and_json(tmp_path):
    (tmp_path / "a.yaml").write_text("x: [1, 2]\n")
    (tmp_path / "a.json").write_text(json.dumps({"x": "\x1b"}))
    assert read_mapping(tmp_path / "a.yaml") == {"x": [1, 2]}
    assert "\x1b" not in read_mapping(tmp_path / "a.json")["x"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "is damaged"),
        ("a.json", "[1]", "it holds no mapping"),
        ("a.yaml", "x: !!python/object:os.system {}", "is damaged"),
        ("a.yaml", "x: !!bool abc", "is damaged"),
        ("a.yaml", "#" * (2**20 + 1), "it is longer than 1048576 bytes"),
    ],
)
def test_read_mapping__damaged(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_mapping(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_read_mapping__missing(tmp_path):
    with pytest.raises(UserError, match=r"a\.json: is missing"):
        read_mapping(tmp_path / "a.json")


@pytest.mark.parametrize(("trainer", "precision"), [("{precision: bf16-mixed}", "bf16-mixed"), ("null", "32-true")])
def test_read_precision__of_older_runs_is_float32(tmp_path, trainer, precision):
    (tmp_path / "config.yaml").write_text(f"trainer: {trainer}\n")
    assert read_precision(tmp_path) == precision


def test_is_finished__once_there_are_final_metrics(tmp_path):
    assert not is_finished(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    assert is_finished(tmp_path)
    (tmp_path / "metrics.json").unlink()
    os.mkfifo(tmp_path / "metrics.json")
    with pytest.raises(UserError, match=r"metrics\.json: is not a regular file"):
        is_finished(tmp_path)
