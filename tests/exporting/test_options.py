"""Results of an export as plain data, and the sizes and files that a card tells of."""

import json
from pathlib import Path

import pytest

from lightseg.exporting.benchmark import Timing
from lightseg.exporting.options import ExportResult, describe_sizes, described_files
from lightseg.exporting.parity import AGREEMENT, ODD, SCORE, Parity

PARITY = Parity(2, 1, 100, 1e-5, 1.0, 0.5, 0.5)


def _result(**changes):
    facts = {"files": [Path("model.onnx")], "size": None, "smallest": (1, 1), "before": [], "source": "random images"}
    facts |= {"parity": PARITY, "odd": None, "int8": None, "calibrated_on": 0, "timings": []}
    return ExportResult(**{**facts, **changes})


def test_record__has_only_the_checks_that_were_made():
    record = _result().record(1e-3)
    assert record == {
        "checked_on": "random images",
        "size": "any",
        "smallest": (1, 1),
        "tolerance": {"probabilities": 1e-3, "agreement": AGREEMENT, "score": SCORE},
        **PARITY.record(),
    }


def test_record__of_all_checks_is_json():
    timing = Timing("onnx", 8, 16, 1.0, 1000.0, 2000.0, 30)
    record = _result(size=(8, 16), odd=PARITY, int8=PARITY, calibrated_on=7, timings=[timing]).record(1e-3)
    assert record["size"] == (8, 16)
    assert record["odd_size"] == {"size": ODD, **PARITY.record()}
    assert record["int8"]["file"] == "model.int8.onnx"
    assert record["int8"]["calibrated_on"] == "7 training images"
    assert record["benchmark"]["timings"][0]["latency_ms"] == 1.0
    assert json.loads(json.dumps(record))["benchmark"]["threads"] >= 1


@pytest.mark.parametrize(
    ("size", "smallest", "text"),
    [
        ((8, 16), (1, 1), "images of 8 × 16 pixels (height × width) only"),
        ("any", (1, 1), "images of any size"),
        ("any", (2, 1), "images of any size from 2 × 1 pixels on"),
    ],
)
def test_describe_sizes(size, smallest, text):
    assert describe_sizes(size, smallest) == text


def test_described_files__of_the_formats_in_the_record(tmp_path):
    record = {"checkpoint": {"file": "best.ckpt", "sha256": "0" * 64}, **_result().record(1e-3)}
    (tmp_path / "parity.json").write_text(json.dumps({"model.safetensors": record, "model.pt2": record}))
    assert described_files(tmp_path) == ["README.md", "parity.json", "model.pt2", "model.safetensors", "config.json"]
