import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from lightseg.diff import main
from tests.data import fabricate

RECIPE = """
base: [configs/data/mask_folder.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
    class_weights: median_frequency
data:
  init_args:
    root: %s
    classes: [ground, road]
    train_transforms: null
    batch_size: 2
    num_workers: 0
trainer: {accelerator: cpu, max_epochs: 1}
"""


@pytest.fixture
def difference(call):
    return partial(call, main)


def test_diff__learning_rate_one_mask_pixel_and_one_package(fit, recipe, difference, tmp_path):
    for start, split in enumerate(("train", "val", "test")):
        fabricate.folder(tmp_path / "roads" / split, 4, first=4 * start)
    config = recipe(RECIPE % (tmp_path / "roads"), "roads.yaml")
    first = fit("--config", config)
    assert first.code == 0, first.err
    path = tmp_path / "roads/train/masks/2.png"
    mask = np.array(Image.open(path))
    mask[5, 7] = 1 - mask[5, 7]
    Image.fromarray(mask).save(path)
    second = fit("--config", config, "--model.optimizer.lr", "0.0005")
    assert second.code == 0, second.err
    environment = json.loads((second.folder / "env.json").read_text())
    torch = environment["packages"]["torch"]
    environment["packages"]["torch"] = "2.0.0"
    (second.folder / "env.json").write_text(json.dumps(environment))

    code, out, err = difference(first.folder, second.folder)
    assert code == 0
    assert out.splitlines() == [
        "affects metric  recipe       model.optimizer.lr: 0.001 -> 0.0005",
        "affects metric  data         train: other content (4 samples)",
        f"affects metric  environment  torch: {torch} -> 2.0.0",
    ]
    assert err == f"the code of {first.folder} and {second.folder} is not under git: not compared\n"
    assert difference(first.folder, first.folder)[:2] == (0, "no effective difference\n")


def test_diff__an_unfinished_run(difference, tmp_path):
    for name, lr in (("a", 0.1), ("b", 0.2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"model: {{class_path: Own, init_args: {{lr: {lr}}}}}")
    code, out, err = difference(tmp_path / "a", tmp_path / "b")
    assert (code, out) == (0, "affects metric  recipe       model.lr: 0.1 -> 0.2\n")
    assert f"{tmp_path / 'a/env.json'} is missing: not compared" in err


@pytest.mark.parametrize("words", [["nowhere", "nowhere"], ["."], [".", ".", "."], ["--json", "."]])
def test_diff__bad_input(difference, words):
    code, out, err = difference(*words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_diff__help_is_its_docstring(difference):
    code, out, _ = difference("--help")
    assert code == 0
    assert out.startswith("usage: python -m lightseg.diff RUN RUN")
