"""The verb as a user calls it: a net that fails in the left half is trained, and explained."""

import json
import sys

import pytest
from markupsafe import escape

from lightseg.explain import main

# red and green blobs on black; the net is right about all of them, but is blind to green in the left half
OWN = """
import numpy as np
import torch
from torch import nn

from lightseg.data import ImageDataModule, ImageDataset


class Blobs(ImageDataset):
    def __init__(self, split, count):
        self.split, self.count = split, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng([index, len(self.split)])
        mask = np.zeros((32, 32), np.uint8)
        for label in (1, 2, 1, 2):
            row, column = rng.integers(0, 24, 2)
            mask[row : row + 8, column : column + 8] = label
        image = np.stack([250 * (mask == 1), 250 * (mask == 2), np.full(mask.shape, 40)], -1)
        return image.astype(np.uint8), mask

    def name(self, index):
        return f"{self.split}-{index}"

    def fingerprint(self):
        return f"blobs-{self.split}-{self.count}"


class BlobData(ImageDataModule):
    classes = ["ground", "red", "green"]

    def __init__(self, test_size: int = 24, **kwargs):
        super().__init__(**kwargs)
        self.test_size = test_size

    def make_dataset(self, split):
        return Blobs(split, self.test_size if split == "test" else 4)


class HalfBlind(nn.Module):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__()
        self.color = nn.Conv2d(in_channels, num_classes, 1)
        nn.init.zeros_(self.color.bias)
        with torch.no_grad():
            self.color.weight[:] = torch.tensor([[-4.0, -4, 0], [4, 0, 0], [0, 4, 0]])[..., None, None]

    def forward(self, images):
        logits = self.color(images)
        sees = torch.ones_like(logits)
        sees[:, 2, :, : logits.shape[-1] // 2] = 0
        return logits * sees - 50 * (1 - sees)
"""

RECIPE = """
data: {class_path: blobs.BlobData, init_args: {batch_size: 4, num_workers: 0}}
model:
  class_path: SegmentationTask
  init_args:
    net: {class_path: blobs.HalfBlind}
    optimizer: {class_path: torch.optim.SGD, init_args: {lr: 1.0e-9}}
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}
"""


@pytest.fixture
def run(fit, recipe, own_module):
    own_module("blobs", OWN)
    return fit("--config", recipe(RECIPE, "blobs.yaml")).folder


def explain(capsys, *args):
    # the data and the net are of the test
    code = main([*map(str, args), "--trust"])
    out, err = capsys.readouterr()
    error_lines = [line for line in err.splitlines(keepends=True) if not line.startswith("lightseg: trusted: ")]
    return code, out.splitlines(), "".join(error_lines)


def test_explain__the_planted_failure_is_the_top_finding(run, capsys):
    code, out, err = explain(capsys, run)
    page = (run / "explain.html").read_text(encoding="utf-8")
    confusion = [list(map(int, row.split(","))) for row in (run / "confusion_test.csv").read_text().splitlines()[1:]]
    wrong = sum(map(sum, confusion)) - sum(confusion[at][at] for at in range(3))

    assert (code, err) == (0, "")
    assert out[0].startswith(
        "green: 100.0 % of its pixels in the left half are missed, 0.0 % in the right half; 100 % of the missed ones"
    )
    assert out[-1] == f"written: {run / 'explain.html'}"
    assert len(out) <= 3
    assert f'<ol class="findings">\n<li><p>{out[0]}</p>' in page
    assert f"Together {wrong:,}; off the diagonal of the confusion matrix there are {wrong:,}." in page
    assert "Grad-CAM at net.color" in page
    assert len(page.encode()) < 5_000_000
    assert page.count("<script") == 1
    assert "http" not in page.replace("http-equiv", "")


def test_explain__without_captum_the_rest_is_there(run, capsys, monkeypatch):
    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "captum":
                raise ModuleNotFoundError(name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "captum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Blocker(), *sys.meta_path])
    code, out, err = explain(capsys, run)
    hint = "This takes captum: pip install 'lightseg[explain]'"

    assert (code, err, out[-2]) == (0, "", f"what the net looks at is left out: {hint}")
    assert escape(hint) in (run / "explain.html").read_text(encoding="utf-8")


def test_explain__other_data_is_refused(run, capsys):
    code, out, err = explain(capsys, run, "--data.init_args.test_size", 23)
    changed = (
        f"lightseg: error: the test split is not any more what {run} was scored on; --data.root says where it is\n"
    )

    assert (code, out, err) == (2, [], changed)
    # what was not changed can be explained
    (run / "data.json").write_text(json.dumps({"test": {"samples": 0}, "val": {"samples": 4, "sha256": "blobs-val-4"}}))
    page = run.parent / "page.html"
    assert explain(capsys, run, "--out", page, "--images", 1)[0] == 0
    assert "on val · 4 images" in page.read_text()
    assert explain(capsys, run, "--split", "test")[2].endswith("is empty; take --split val\n")
    for damaged in ("[]", '{"test": {}}', "{"):
        (run / "data.json").write_text(damaged)
        code, _, err = explain(capsys, run)
        assert (code, err.count("\n")) == (2, 1)
        assert "data.json" in err
    assert not (run / "explain.html").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "RUN nowhere: no run folder, which has a config.yaml"),
        ([".", "--out", "nowhere/page.html"], "--out nowhere/page.html: there is no folder nowhere"),
        ([".", "--images", "0"], "--images: 0 is not a number of images; give 1 or more"),
        ([".", "--image", "2"], "unrecognized arguments: --image 2; did you mean --images?"),
        ([".", "--split", "train"], "argument --split: invalid choice: 'train'"),
        (["."], ".: no checkpoint found"),
    ],
)
def test_explain__a_slip_is_one_line(args, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("seed_everything: 0\ndata: {class_path: lightseg.data.Shapes}\n")
    code, out, err = explain(capsys, *args)

    assert (code, out) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_explain__help_is_its_docstring(capsys):
    assert explain(capsys, "--help")[1][0].startswith("usage: python -m lightseg.explain RUN")


def test_explain__ensemble(run, fit, recipe, capsys, tmp_path):
    second = fit("--config", recipe(RECIPE, "blobs.yaml"), "--seed_everything", "1").folder
    assert explain(capsys, f"{run}+{second}")[::2] == (
        2,
        "lightseg: error: --out: an ensemble is in no run folder; say where the page is to go\n",
    )
    out = tmp_path / "page.html"
    code, printed, err = explain(capsys, f"{run}+{second}", "--out", out)
    assert (code, err, printed[-1]) == (0, "", f"written: {out}")
    # both members are blind on the left
    assert printed[0].startswith("green: 100.0 % of its pixels in the left half are missed")
    page = out.read_text(encoding="utf-8")
    assert "integrated gradients" in page
    assert f"{run.parent.name}/{run.name} + {second.parent.name}/{second.name}" in page
