"""The data sets of experiments/fine_tuning are those that its recipes state."""

import runpy

import cv2
import numpy as np
import yaml

from lightseg.data.datasets import shapes_painter
from tests.conftest import ROOT

FOLDER = ROOT / "experiments/fine_tuning"


def test_write__images_and_masks_as_the_recipe_states(tmp_path, monkeypatch):
    painter = runpy.run_path(str(FOLDER / "paint.py"))
    monkeypatch.setitem(shapes_painter.OUTLINES, "bar", painter["BAR"])
    painter["write"](tmp_path, {"train": 12}, 64, painter["TARGET"], True, 2)
    options = yaml.safe_load((FOLDER / "target.yaml").read_text())["data"]["init_args"]
    assert options["classes"] == ["background", *painter["TARGET"]]
    masks = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((tmp_path / "train/masks").iterdir())]
    assert set(np.unique(masks)) == {*range(7), 255}
    images = [np.load(path) for path in sorted((tmp_path / "train/images").iterdir())]
    assert {image.shape for image in images} == {(64, 64, options["channels"])}
