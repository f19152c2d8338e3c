import csv
import json
import shutil
from functools import partial

import numpy as np
import pytest

from lightseg.compare import main
from tests.comparison.fabricate import config, counts, write_run


@pytest.fixture
def compare(call):
    return partial(call, main)


def test_compare__two_trained_runs(fit, recipe, compare, tmp_path):
    first = fit("--config", recipe()).folder
    second = fit("--config", recipe(), "--model.net.width", 8, "--model.net.norm", "group").folder
    code, out, err = compare(tmp_path / "runs", "--csv", tmp_path / "groups.csv", "--json", tmp_path / "all.json")
    assert (code, err) == (0, "")
    assert "between" in out or "better" in out
    assert "width 4, norm batch" in out
    assert "\x1b" not in out
    content = json.loads((tmp_path / "all.json").read_text())
    scores = {group["trials"][0]["runs"][0]: group["score"]["value"] for group in content["groups"]}
    for folder in (first, second):
        recorded = json.loads((folder / "metrics.json").read_text())
        assert scores[str(folder)] == pytest.approx(recorded["test/score"], abs=1e-12)
    assert len(list(csv.DictReader((tmp_path / "groups.csv").read_text().splitlines()))) == 2
    # the same score as val has in metrics.json
    code, out, _ = compare(first, "--split", "val", "--metric", "dice", "--json", tmp_path / "val.json")
    assert code == 0
    (group,) = json.loads((tmp_path / "val.json").read_text())["groups"]
    assert group["score"]["value"] == pytest.approx(
        json.loads((first / "metrics.json").read_text())["val/dice"], abs=1e-12
    )


def test_compare__no_difference_is_no_failure(compare, tmp_path):
    for width in (4, 8):
        write_run(tmp_path / f"{width}", config(model__net__width=width))
    code, out, _ = compare(tmp_path / "4", tmp_path / "8", tmp_path / "4")
    assert code == 0
    assert "no difference shown between width 4 and width 8: 0.0 (95 % interval 0.0 to 0.0)" in out
    assert "was given twice; it counts once" in " ".join(out.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--csv", "x.csv"], "the following arguments are required: RUN"),
        (["RUNS", "--split", "train"], "--split: invalid choice: 'train'"),
        (["RUNS", "--basline", "x"], "--basline"),
        (["RUNS", "--metric", "f1"], "--metric f1: a segmentation has no such metric"),
        (["RUNS", "--by", "encoder"], "--by encoder: no run has such a key"),
        (["RUNS", "--baseline", "x"], "--baseline x: no group or run of these"),
        (["nowhere"], "nowhere: there is no such folder"),
        (["RUNS", "--html", "."], "--html .: is a folder; give the name of a file"),
    ],
)
def test_compare__bad_input_writes_nothing(args, message, compare, tmp_path):
    write_run(tmp_path / "runs" / "a")
    args = [tmp_path / "runs" if arg == "RUNS" else arg for arg in args]
    code, out, err = compare(*args, "--json", tmp_path / "all.json")
    assert (code, out) == (2, "")
    assert err.startswith("lightseg: error: ")
    assert message in err
    assert not (tmp_path / "all.json").exists()


def test_compare__other_data_is_refused_unless_forced(compare, tmp_path):
    write_run(tmp_path / "a", config(model__net__width=4))
    write_run(tmp_path / "b", config(), counts(np.random.default_rng(1)), data="other")
    code, _, err = compare(tmp_path)
    assert code == 2
    assert "do not compare on test" in err
    assert "data: the content of the split is another" in err
    code, out, _ = compare(tmp_path, "--force")
    assert code == 0
    assert "note: forced: " in out


def test_compare__copied_run_is_no_second_seed(fit, recipe, compare, tmp_path):
    first = fit("--config", recipe()).folder
    copy = shutil.copytree(first, tmp_path / "copies/run")
    text = (copy / "config.yaml").read_text()
    assert "seed_everything: 0" in text
    (copy / "config.yaml").write_text(text.replace("seed_everything: 0", "seed_everything: 1"))
    code, out, err = compare(first, copy)
    assert (code, out, err.count("\n")) == (2, "", 1)
    runs = sorted((str(first), str(copy)))
    assert f"{runs[1]}: is a copy of {runs[0]}, with the same weights; leave it out" in err
    # the same seed twice is a training of its own, with the same weights
    assert compare(first, fit("--config", recipe()).folder)[0] == 0


def test_compare__help(compare):
    code, out, _ = compare("--help")
    assert code == 0
    assert out.startswith("usage: python -m lightseg.compare RUN...")
