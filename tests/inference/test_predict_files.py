"""Prediction of files into a folder."""

import json

import numpy as np
import pytest
from PIL import Image

import lightseg
from lightseg.errors import RunError
from lightseg.inference import predict_files as module
from lightseg.inference.inference_config import InferenceConfig
from lightseg.inference.inputs import Item
from lightseg.inference.predict_files import OutputOptions, predict_files
from lightseg.inference.results import Results
from tests.data.fabricate import picture, save
from tests.inference.models import write_checkpoint

FACTS = {"classes": ["a", "b", "c"], "sha256": "0", "protocol": "whole", "protocol_large": "whole", "temperature": 1.0}


@pytest.fixture
def items(tmp_path):
    """Return two images, and a broken one between them."""
    paths = [save(tmp_path / f"{name}.png", picture(seed, 16, 24)) for seed, name in enumerate("abc")]
    paths[1].write_bytes(b"no picture")
    return [Item(path, None, path.stem) for path in paths]


def _predict(task, folder, items, **options):
    folder.mkdir(exist_ok=True)
    results = Results(folder, FACTS, task.kind)
    return predict_files(task, items, InferenceConfig(), results, OutputOptions(**options))


def test_predict_files__masks_of_all_that_can_be_read_and_only_once(items, tmp_path, capsys):
    task, out = lightseg.load(write_checkpoint(tmp_path / "x.ckpt")), tmp_path / "out"
    assert _predict(task, out, items, overlays=True, probabilities=True) == 1
    for item in (items[0], items[2]):
        with Image.open(out / f"{item.name}.png") as mask:
            assert np.array_equal(np.asarray(mask), task.predict(item.file))
        assert (out / f"overlays/{item.name}.jpg").exists()
        assert np.load(out / f"probabilities/{item.name}.npy").shape == (3, 16, 24)
    printed = capsys.readouterr()
    assert f"predicted 2 of 3 images: {out}" in printed.out
    assert printed.err.startswith(f"lightseg: {items[1].file}: ")
    assert len(printed.err.splitlines()) == 1

    assert _predict(task, out, items) == 1
    assert f"predicted 0 of 3 images, 2 were there: {out}" in capsys.readouterr().out


def test_predict_files__labels_of_a_classification(items, tmp_path):
    net = {"net": "lightseg.nets.SimpleCNN", "image_size": 16}
    task, out = lightseg.load(write_checkpoint(tmp_path / "x.ckpt", "ClassificationTask", **net)), tmp_path / "out"
    square = [Item(save(tmp_path / f"s{seed}.png", picture(seed, 16, 16)), None, f"s{seed}") for seed in range(2)]
    assert _predict(task, out, square) == 0
    records = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [record["class"] for record in records] == [task.predict(item.file) for item in square]
    assert all(sum(record["probabilities"]) == pytest.approx(1) for record in records)
    assert len((out / "labels.csv").read_text().splitlines()) == 3


def test_predict_files__a_full_disk_ends_it(items, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "x.png")

    monkeypatch.setattr(module, "write_masks", full)
    task = lightseg.load(write_checkpoint(tmp_path / "x.ckpt"))
    with pytest.raises(RunError, match=r"^x\.png: No space left on device; the same command goes on from here$"):
        _predict(task, tmp_path / "out", items)
