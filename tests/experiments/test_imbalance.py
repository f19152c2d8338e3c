"""The arms of experiments/imbalance, and the command that compares them."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.conftest import ROOT
from tests.helpers.forked_process import run_forked

FOLDER = ROOT / "experiments" / "imbalance"
ARMS = sorted(FOLDER.glob("*/*.yaml"))


def _load():
    spec = importlib.util.spec_from_file_location("imbalance_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = _load()


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: f"{arm.parent.name}-{arm.stem}")
def test_arm__differs_from_plain_in_one_cure_alone(arm):
    recipe = yaml.safe_load(arm.read_text())
    assert recipe.pop("base") == [f"../../../configs/imbalance/{arm.parent.name}.yaml"]
    options = {f"{part}.{name}" for part, block in recipe.items() for name in block["init_args"]}
    cures = {
        *("data.sampling", "data.rare_transforms", "data.copy_paste", "data.train_transforms"),
        *("model.class_weights", "model.class_weights_from", "model.loss"),
        *("model.logit_adjustment", "model.prior_bias"),
    }
    assert options <= cures
    assert len(options - {"model.class_weights_from"}) == (arm.stem != "plain")


@pytest.mark.parametrize("table", run.SCORES)
def test_arms__are_of_every_family(table):
    families = {arm.stem.partition("_")[0] for arm in ARMS if arm.parent.name == table}
    assert families == {"plain", "augment", "weight", "sample", "model"}


def _shapes(star, ring, drawn=0.25, steps=10):
    return {
        "train/steps": steps,
        "train/drawn/star": 1 - drawn,
        "train/drawn/ring": drawn,
        "test/miou": 0.5,
        "test/accuracy": 0.9,
        "test/iou/star": star,
        "test/iou/ring": ring,
    }


def test_rows__means_and_spreads():
    arms = {
        # the mean of star and ring is 0.3 and 0.5: mean 0.4, standard deviation 0.1 · √2
        "plain": [_shapes(0.6, 0.0), _shapes(0.8, 0.2)],
        "cure": [_shapes(0.8, 0.4, drawn=0.5), _shapes(0.8, 0.6, drawn=0.75)],
    }
    headings, plain, cure = run.rows("shapes", arms)
    assert headings == ["arm", "n", "IoU of star and ring", "mIoU", "accuracy", "against plain", "star", "ring"]
    assert plain == ["plain", "2", "40.0 ± 14.1", "50.0 ± 0.0", "90.0 ± 0.0", "", "70.0 (75.0)", "10.0 (25.0)"]
    assert cure[2:] == ["65.0 ± 7.1", "50.0 ± 0.0", "90.0 ± 0.0", "+25.0 **better**", "80.0 (37.5)", "50.0 (62.5)"]


def test_cifar10__accuracy_under_the_long_tail():
    recalls = dict.fromkeys((f"test/recall/{name}" for name in "abcdefghij"), 0.0)
    scores = run.cifar10({"test/balanced_accuracy": 0.1, **recalls, "test/recall/a": 1.0})
    # the shares of the data fall from 1 to 1/100 in nine equal ratios
    ratio = 100 ** (-1 / 9)
    assert scores["long-tail accuracy"] == pytest.approx((1 - ratio) / (1 - ratio**10))
    block = yaml.safe_load((ROOT / "configs/imbalance/cifar10.yaml").read_text())
    assert block["data"]["init_args"]["imbalance_ratio"] == 100


@pytest.mark.parametrize(
    ("values", "plain", "verdict"),
    [
        # the standard deviations are 0.1 and 0.01, and 0.09 is between them
        ([0.39, 0.49, 0.59], [0.39, 0.40, 0.41], "+9.0 within the spread"),
        ([0.39, 0.40, 0.41], [0.39, 0.49, 0.59], "-9.0 within the spread"),
        ([0.42, 0.52, 0.62], [0.39, 0.40, 0.41], "+12.0 **better**"),
        ([0.20, 0.28, 0.36], [0.39, 0.40, 0.41], "-12.0 **worse**"),
        ([0.60], [0.40], "+20.0"),
    ],
)
def test_verdict__larger_of_the_two_deviations(values, plain, verdict):
    assert run.verdict(values, plain) == verdict


def test_caption__refuses_runs_of_different_lengths():
    with pytest.raises(SystemExit, match="runs of 10, 20 steps cannot be compared"):
        run.caption("shapes", {"plain": [_shapes(1, 1)], "cure": [_shapes(1, 1, steps=20)]})


class Fit:
    """Stands for the command: leaves what it leaves, and remembers how it was called."""

    def __init__(self, monkeypatch, code=0):
        self.code, self.calls, self.began = code, [], 0
        monkeypatch.setattr(run.subprocess, "run", self)

    def __call__(self, command):
        self.calls.append(command)
        folder = Path(command[command.index("--runs_dir") + 1]) / command[command.index("--name") + 1] / "1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").touch()
        if not self.code:
            (folder / "metrics.json").write_text(json.dumps({"calls": len(self.calls)}))
        return SimpleNamespace(returncode=self.code)


def test_result__a_finished_run_is_taken_as_it_is(monkeypatch, recipe, tmp_path):
    fit = Fit(monkeypatch)
    assert run.result(recipe(), 0, tmp_path, []) == {"calls": 1}
    assert run.result(recipe(), 0, tmp_path, []) == {"calls": 1}
    # another seed, option or recipe is another run
    assert run.result(recipe(), 1, tmp_path, []) == {"calls": 2}
    assert run.result(recipe(), 0, tmp_path, ["--trainer.max_epochs", "1"]) == {"calls": 3}
    assert run.result(recipe("base: [configs/net/unet.yaml]\n"), 0, tmp_path, []) == {"calls": 4}
    assert fit.calls[2][-6:-4] == ["--trainer.max_epochs", "1"]


def test_result__a_run_that_broke_off_goes_on(monkeypatch, recipe, tmp_path):
    fit = Fit(monkeypatch, code=1)
    with pytest.raises(SystemExit, match="1"):
        run.result(recipe(), 0, tmp_path, [])
    fit.code = 0
    assert run.result(recipe(), 0, tmp_path, []) == {"calls": 2}
    name = fit.calls[1][fit.calls[1].index("--name") + 1]
    assert "--resume" not in fit.calls[0]
    assert fit.calls[1][-2:] == ["--resume", str(tmp_path / name / "1")]


def test_main__unknown_arm(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "shapes", "--arms", "plan"])
    with pytest.raises(SystemExit, match="2"):
        run.main()
    assert "no arm plan; there are augment_copy_paste" in capsys.readouterr().err


@pytest.mark.slow
def test_main__trains_and_writes_the_table(tmp_path, monkeypatch, capsys):
    def fork(command):
        assert command[:3] == [sys.executable, "-m", "lightseg.fit"]
        output = tmp_path / f"output{len(list(tmp_path.glob('output*')))}"
        return run_forked("lightseg.fit", command[3:], tmp_path, {**os.environ}, output)

    small = ["--data.train_size", "32", "--data.val_size", "20", "--data.test_size", "100", "--data.num_workers", "0"]
    short = ["--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1"]
    command = ["run.py", "shapes", "--arms", "sample_class_balanced", "--seeds", "3"]
    options = ["--runs_dir", str(tmp_path), "--trainer.accelerator", "cpu", *small, *short]
    monkeypatch.setattr(sys, "argv", [*command, *options])
    monkeypatch.setattr(run.subprocess, "run", fork)
    monkeypatch.chdir(tmp_path)
    run.main()
    lines = (tmp_path / "shapes.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| plain", "| sample_class_balanced"]
    assert "sample_class_balanced" in capsys.readouterr().out
    assert len(list(tmp_path.glob("shapes-*-3-*/*/metrics.json"))) == 2
