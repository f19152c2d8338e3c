"""Run folder of an earlier version, written before the layout of the package changed, is still read.

`older_run` is the output of its `command.txt`, without pictures, and `prediction.png` the prediction of that version
for `IMAGE`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lightseg
from lightseg import compare, evaluate, export, predict
from lightseg.cli import LightsegCLI
from tests.conftest import ROOT

OLDER_RUN = Path(__file__).parent / "older_run"
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(OLDER_RUN, tmp_path / "run")


def expected():
    return np.asarray(Image.open(OLDER_RUN / "prediction.png"))


def test_load__predicts_the_same(folder):
    # another processor may decide a tie otherwise
    assert (lightseg.load(folder).predict(IMAGE) == expected()).mean() >= 0.99


def test_predict__the_same_mask_as_a_file(folder, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    assert predict.main([str(folder), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 0
    assert (np.asarray(Image.open(tmp_path / "out" / "a.png")) == expected()).mean() >= 0.99


def test_evaluate__the_same_score(folder, capsys):
    assert evaluate.main([str(folder), "--precision", "32-true"]) == 0
    assert "metrics.json" in capsys.readouterr().out
    scores = json.loads(next(folder.glob("evaluations/*/metrics.json")).read_text())
    recorded = json.loads((folder / "metrics.json").read_text())
    assert scores["test/score"] == pytest.approx(recorded["test/score"], abs=1e-4)


def test_export__agrees_with_torch(folder):
    assert export.main([str(folder), "--format", "safetensors", "--images", "4"]) == 0
    assert (lightseg.load(folder / "export").predict(IMAGE) == expected()).mean() >= 0.99


def test_compare__its_score(folder, capsys):
    assert compare.main([str(folder)]) == 0
    score = 100 * json.loads((folder / "metrics.json").read_text())["test/score"]
    assert f"{score:.1f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("section", "name"), [("data", "lightseg.data.Shapes"), ("model.net", "lightseg.nets.UNet"), ("model.net", "UNet")]
)
def test_class_paths__short_ones_stay(section, name):
    recipe = ["--config", str(ROOT / "experiments/shapes/unet.yaml"), f"--{section}", name]
    config = LightsegCLI([*recipe, "--data.image_size", "32"]).config
    block = config.data if section == "data" else config.model.init_args.net
    assert block.class_path.rpartition(".")[2] == name.rpartition(".")[2]
