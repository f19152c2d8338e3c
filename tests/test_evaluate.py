"""The verb as a user calls it, on a small trained net and images of many sizes."""

import csv
import json
import os
import re
import shutil
from functools import partial

import numpy as np
import pytest
import yaml

from lightseg.evaluate import main
from lightseg.evaluation import calibrate
from lightseg.evaluation.scoring import Scorer
from lightseg.metrics.per_image import PerImageResults
from tests import forked
from tests.data.fabricate import save
from tests.trained import train

MIXED = """
base: [configs/data/mask_folder.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.02}}
data:
  init_args:
    root: ROOT
    classes: [ground, dark, bright]
    batch_size: 4
    num_workers: 0
    train_transforms:
    - {class_path: albumentations.RandomCrop, init_args: {height: 32, width: 32, pad_if_needed: true}}
    eval_transforms: null
trainer: {accelerator: cpu, max_epochs: 3, log_every_n_steps: 1}
"""

CLASSIFIER = """
base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]
data:
  init_args: {image_size: 32, train_size: 12, val_size: 6, test_size: 7, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}
"""

SIZES = [(37, 61), (48, 48), (64, 40), (30, 50), (37, 61)]


def _images(root, count, first=0):
    """Squares that are brighter or darker than the ground, with a border of void, in images of different sizes."""
    for index in range(first, first + count):
        rng, (height, width) = np.random.default_rng(index), SIZES[index % len(SIZES)]
        image = rng.normal(128, 25, (height, width, 3))
        mask = np.zeros((height, width), np.uint8)
        for label, change in ((1, -50), (2, 50)):
            size = int(rng.integers(6, 16))
            top, left = rng.integers(0, height - size), rng.integers(0, width - size)
            image[top : top + size, left : left + size] += change
            mask[top : top + size, left : left + size] = label
            mask[top : top + size, left] = 255
        save(root / "images" / f"{index}.png", image.clip(0, 255).astype(np.uint8))
        save(root / "masks" / f"{index}.png", mask)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that nobody changes."""
    place = tmp_path_factory.mktemp("trained")
    _images(place / "squares", 40)
    return train(place, MIXED.replace("ROOT", str(place / "squares")))


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the run."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def evaluate(call):
    return partial(call, main)


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def matrix(folder, split="test"):
    return np.loadtxt(folder / f"confusion_{split}.csv", np.int64, delimiter=",", skiprows=1)


def table(folder):
    return list(csv.DictReader((folder / "images.csv").read_text().splitlines()))


def test_evaluate__gives_the_numbers_of_the_run(folder, evaluate):
    code, out, err = evaluate(folder)
    assert (code, err) == (0, "")
    assert "as in metrics.json" in out
    made = folder / "evaluations" / "test"
    assert out.splitlines()[-1] == f"evaluation: {made}"
    ours, theirs = metrics(made), metrics(folder)
    recorded = {name: value for name, value in theirs.items() if name.startswith("test/")}
    assert {name: ours[name] for name in recorded} == pytest.approx(recorded, abs=1e-12)
    assert (made / "confusion_test.csv").read_text() == (folder / "confusion_test.csv").read_text()
    ours, theirs = PerImageResults.read(made, "test"), PerImageResults.read(folder, "test")
    assert (ours.data, ours.protocol, ours.images) == (theirs.data, theirs.protocol, theirs.images)
    np.testing.assert_array_equal(ours.rows, theirs.rows)


def test_evaluate__records_what_was_done_and_the_views(folder, evaluate):
    assert evaluate(folder)[0] == 0
    made = folder / "evaluations" / "test"
    found, views, counts = metrics(made), json.loads((made / "views.json").read_text()), matrix(made)
    assert (found["split"], found["samples"], found["precision"]) == ("test", 6, "32-true")
    assert found["protocol"] == "whole images, scored at the size of their ground truth"
    assert found["checkpoint"] == "checkpoints/best.ckpt"
    assert found["data"] == json.loads((folder / "data.json").read_text())["test"]["sha256"]
    assert sum(row["pixels"] for row in views["calibration"]) == counts.sum()
    assert round(sum(row["pixels"] * row["accuracy"] for row in views["calibration"])) == counts.trace()
    for row, name in enumerate(("ground", "dark", "bright")):
        sizes = views["objects"][name].values()
        assert sum(size["pixels"] for size in sizes) == counts[row].sum()
        assert sum(size["right"] for size in sizes) == counts[row, row]
    both, truth, prediction = (views["boundary"]["dark"][part] for part in ("both", "truth", "prediction"))
    assert found["test/boundary_iou/dark"] == both / (truth + prediction - both)
    rows = table(made)
    assert sum(int(row["valid_pixels"]) for row in rows) == counts.sum()
    scores = [float(rows[0][name]) for name in ("iou/ground", "iou/dark", "iou/bright") if rows[0][name]]
    assert float(rows[0]["score"]) == pytest.approx(np.mean(scores), abs=1e-6)


def test_evaluate__batch_size_and_windows_that_hold_the_image_change_nothing(folder, evaluate):
    ways = {
        "one": ["--batch_size", 1],
        "four": ["--batch_size", 4],
        "window": ["--window", 64, "--batch_size", 4],
        "window_one": ["--window", 640, "--batch_size", 1],
    }
    for name, options in ways.items():
        # in float32 a pixel whose classes are all but equal might be rounded otherwise in another batch
        options += ["--precision", "64-true"]
        assert evaluate(folder, "--split", "all", "--name", name, *options)[0] == 0
    first = folder / "evaluations" / "one"
    for name in ways:
        other = folder / "evaluations" / name
        np.testing.assert_array_equal(matrix(other, "all"), matrix(first, "all"))
        assert (other / "images.csv").read_text() == (first / "images.csv").read_text()
        assert json.loads((other / "views.json").read_text())["boundary"]
    assert metrics(other)["protocol"] != metrics(first)["protocol"]


def test_evaluate__protocol_is_in_the_name_and_beside_the_number(folder, evaluate):
    code, out, _ = evaluate(folder, "--window", 32, "--overlap", 0.5, "--tta", "flip")
    made = folder / "evaluations" / "test-window32-overlap0.5-flip"
    assert code == 0
    assert out.splitlines()[-1] == f"evaluation: {made}"
    assert "as in metrics.json" not in out
    protocol = metrics(made)["protocol"]
    assert "windows of 32" in protocol
    assert "mirrored" in protocol
    assert PerImageResults.read(made, "test").protocol == protocol
    assert matrix(made).sum() == matrix(folder).sum()


def test_evaluate__all_is_every_sample_of_every_split_once(folder, evaluate):
    for split in ("train", "val", "test", "all"):
        # where batches end differs; see above
        assert evaluate(folder, "--split", split, "--precision", "64-true")[0] == 0
    made = {split: folder / "evaluations" / split for split in ("train", "val", "test", "all")}
    parts = sum(matrix(made[split], split) for split in ("train", "val", "test"))
    np.testing.assert_array_equal(matrix(made["all"], "all"), parts)
    rows = table(made["all"])
    assert len(rows) == 40
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    of_val = [row for row in rows if row["split"] == "val"]
    assert of_val == table(made["val"])


@pytest.mark.parametrize("way", ["option", "file"])
def test_evaluate__another_folder(way, folder, tmp_path, evaluate):
    _images(tmp_path / "other", 5, first=100)
    other = tmp_path / "other.yaml"
    block = {"class_path": "MaskFolder", "init_args": {"root": "other", "classes": ["ground", "dark", "bright"]}}
    block["init_args"]["root"] = str(tmp_path / "other")
    other.write_text(yaml.safe_dump({"data": block}))
    options = ["--data.root", tmp_path / "other"] if way == "option" else ["--config", other]
    code, out, err = evaluate(folder, *options, "--split", "all")
    assert (code, err) == (0, "")
    assert "as in metrics.json" not in out
    (made,) = folder.glob("evaluations/*")
    assert re.fullmatch("all-[0-9a-f]{8}", made.name)
    assert metrics(made)["samples"] == 5
    assert str(tmp_path / "other") in metrics(made)["dataset"]


RESIZED = [{"class_path": "albumentations.Resize", "init_args": {"height": 16, "width": 16}}]


@pytest.mark.parametrize("split", ["train", "test", "all"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("eval_transforms", RESIZED), ("values", {0: "ground", 1: "bright", 2: "dark"})],
    ids=["pixels", "labels"],
)
def test_evaluate__options_that_change_what_is_scored_are_kept_apart(option, value, split, folder, evaluate):
    assert evaluate(folder, "--split", split)[0] == 0
    plain = folder / "evaluations" / split
    before = (plain / "metrics.json").read_bytes()
    changed = [f"--data.{option}={json.dumps(value)}", "--split", split]
    code, out, err = evaluate(folder, *changed)
    assert (code, err) == (0, "")
    assert "as in metrics.json" not in out
    assert f"data.{option}: " in out
    (made,) = (path for path in folder.glob("evaluations/*") if path != plain)
    assert re.fullmatch(f"{split}-[0-9a-f]{{8}}", made.name)
    assert list(metrics(made)["data_options"]) == [f"data.{option}"]
    assert metrics(made)[f"{split}/score"] != metrics(plain)[f"{split}/score"]
    # no name makes them one, and no temperature is fitted on them
    code, _, err = evaluate(folder, *changed, "--name", split)
    assert code == 2
    assert "options of the data" in err
    assert evaluate(folder, *changed, "--calibrate")[0] == 2
    assert (plain / "metrics.json").read_bytes() == before
    assert not (folder / "calibration.json").exists()


def test_evaluate__options_that_change_no_score_make_no_other_name(folder, tmp_path, evaluate):
    block = yaml.safe_load((folder / "config.yaml").read_text())["data"]
    restated = tmp_path / "same.yaml"
    restated.write_text(yaml.safe_dump({"data": block}))
    of_training = ["--data.batch_size", 2, "--data.cache_gb", 0, "--data.sampling", "class_balanced"]
    for options in ([], ["--config", restated], [*of_training, "--data.train_transforms", "null"]):
        assert evaluate(folder, "--split", "all", *options)[0] == 0
    assert [path.name for path in folder.glob("evaluations/*")] == ["all"]


@pytest.mark.parametrize("name", ["calibration.json", "metrics.json", "data.json", "env.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_evaluate__damaged_files_of_the_run_are_named(name, content, folder, evaluate):
    (folder / name).write_text(content)
    code, _, err = evaluate(folder)
    assert code == 2
    assert f"{folder / name}: is damaged" in err
    assert err.count("\n") == 1
    assert not (folder / "evaluations").exists()


def test_evaluate__a_place_that_cannot_be_is_refused_before_any_work(folder, evaluate, monkeypatch):
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("has begun"))
    for out in (folder / "config.yaml", folder / "config.yaml" / "below"):
        code, _, err = evaluate(folder, "--out", out)
        assert code == 2
        assert "a file; give a folder" in err


@pytest.mark.parametrize("name", ["calibration.json", "evaluations", "evaluations/test"])
def test_evaluate__a_link_in_the_run_is_not_written_through(name, folder, tmp_path, evaluate, monkeypatch):
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("has begun"))
    place = tmp_path / "elsewhere"
    place.mkdir()
    link = folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(place / "new" if name == "calibration.json" else place)
    code, _, err = evaluate(folder, *["--calibrate"] * (name == "calibration.json"))
    assert code == 2
    assert f"{link}: is a link, a pipe or a device, and is not written through; remove it" in err
    assert err.count("\n") == 1
    assert not any(place.iterdir())


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["ground", "dark"], "lacks bright"),
        (["ground", "dark", "bright", "car"], "has car"),
        (["ground", "bright", "dark"], "another order: ground, bright, dark"),
    ],
)
def test_evaluate__other_classes_are_refused(classes, said, folder, evaluate):
    code, _, err = evaluate(folder, f"--data.classes={json.dumps(classes)}")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (folder / "evaluations").exists()


def test_evaluate__takes_the_place_of_the_same_evaluation_only(folder, evaluate):
    assert evaluate(folder, "--name", "mine")[0] == 0
    made = folder / "evaluations" / "mine"
    (made / "images.csv").write_text("")
    assert evaluate(folder, "--name", "mine", "--boundary", 0.1)[0] == 0
    assert (made / "images.csv").read_text()
    before = (made / "metrics.json").read_text()
    for options, said in ((["--split", "val"], "split and data"), (["--tta", "flip"], "protocol")):
        code, _, err = evaluate(folder, "--name", "mine", *options)
        assert code == 2
        assert f"another {said}" in err
    assert (made / "metrics.json").read_text() == before
    assert [path.name for path in folder.glob("evaluations/*")] == ["mine"]
    code, _, err = evaluate(folder, "--out", folder)
    assert code == 2
    assert "no evaluation" in err


@pytest.mark.parametrize("changed", ["test/score", "test/iou/dark", "test/loss"])
def test_evaluate__numbers_that_do_not_come_back_are_an_error(changed, folder, evaluate):
    recorded = metrics(folder)
    recorded[changed] += 0.001
    (folder / "metrics.json").write_text(json.dumps(recorded))
    code, _, err = evaluate(folder)
    assert code == 1
    assert changed in err
    assert "cannot be trusted" in err
    assert not (folder / "evaluations").exists()


@pytest.mark.bf16
def test_evaluate__another_precision_may_move_the_last_bits(folder, evaluate):
    recorded = metrics(folder)
    recorded["test/score"] += 0.001
    (folder / "metrics.json").write_text(json.dumps(recorded))
    code, out, _ = evaluate(folder, "--precision", "bf16-mixed")
    assert code == 0
    assert "precision differ" in out
    assert metrics(folder / "evaluations" / "test")["precision"] == "bf16-mixed"


def test_evaluate__checkpoint_file_of_a_run_and_of_none(folder, tmp_path, evaluate):
    assert evaluate(folder / "checkpoints" / "best.ckpt")[1].splitlines()[-1].endswith("/evaluations/test")
    assert evaluate(folder / "checkpoints" / "last.ckpt")[1].splitlines()[-1].endswith("/evaluations/test-last")
    alone = shutil.copy(folder / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")
    code, _, err = evaluate(alone)
    assert code == 2
    assert "--out" in err
    assert evaluate(alone, "--out", tmp_path / "there")[0] == 0
    np.testing.assert_array_equal(matrix(tmp_path / "there"), matrix(folder))


def test_calibrate__error_does_not_grow_and_predictions_stay(folder, evaluate):
    assert evaluate(folder, "--split", "val")[0] == 0
    code, out, err = evaluate(folder, "--split", "val", "--calibrate", "--name", "after")
    assert (code, err) == (0, "")
    found = json.loads((folder / "calibration.json").read_text())
    assert found["ece_after"] < found["ece_before"]
    assert found["nll_after"] < found["nll_before"]
    assert found["temperature"] != 1
    assert found["pixels"] == found["fitted_on"] == matrix(folder, "val").sum()
    assert f"written: {folder / 'calibration.json'}" in out
    before, after = folder / "evaluations" / "val", folder / "evaluations" / "after"
    np.testing.assert_array_equal(matrix(before, "val"), matrix(after, "val"))
    numbers = metrics(after)
    assert numbers["temperature"] == found["temperature"]
    assert numbers["val/ece"] == metrics(before)["val/ece"] == found["ece_before"]
    assert numbers["val/ece_calibrated"] == found["ece_after"]
    # a later evaluation knows it, but for a protocol that it was not measured for
    assert evaluate(folder)[0] == evaluate(folder, "--tta", "flip")[0] == 0
    assert metrics(folder / "evaluations" / "test")["temperature"] == found["temperature"]
    assert "test/ece_calibrated" in metrics(folder / "evaluations" / "test")
    assert "test/ece_calibrated" not in metrics(folder / "evaluations" / "test-flip")


def test_calibrate__a_temperature_that_makes_it_worse_is_not_taken(folder, evaluate, monkeypatch):
    monkeypatch.setattr(calibrate, "fit_temperature", lambda logits, target: 90.0)
    code, out, _ = evaluate(folder, "--calibrate")
    assert code == 0
    found = json.loads((folder / "calibration.json").read_text())
    assert found["temperature"] == 1
    assert found["ece_after"] == found["ece_before"]
    assert "no temperature made the error smaller" in out


def test_calibrate__on_an_even_sample(folder, evaluate, monkeypatch):
    monkeypatch.setattr("lightseg.evaluation.temperature.SAMPLE", 3 * 1000)
    assert evaluate(folder, "--calibrate")[0] == 0
    found = json.loads((folder / "calibration.json").read_text())
    assert 900 < found["fitted_on"] <= 1100 < found["pixels"]
    assert found["ece_after"] <= found["ece_before"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "nonsense"], "nonsense"),
        (["--overlap", "0.5"], "--window"),
        (["--window", "0"], "window"),
        (["--window", "32", "--overlap", "1"], "overlap"),
        (["--tta", "flop"], "flip"),
        (["--boundary", "2"], "--boundary"),
        (["--data.root", "nowhere"], "nowhere"),
        (["--data.val_fraktion", "0"], "val_fraction"),
        (["--data.test_fraction", "0"], "the test split of MaskFolder is empty"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "configs/net/unet.yaml"], "no data block"),
        (["--config", "configs/data/cifar10.yaml"], "classification data"),
        (["--precision", "16-mixed"], "needs a GPU"),
        (["--precision", "nonsense"], "nonsense"),
        (["--devices", "0"], "--devices"),
        (["--devices", "999"], "this process may use"),
        (["--name", "a/b"], "--name"),
        (["--calibrate", "--tta", "flip"], "--tta"),
        (["--calibrate", "--data.val_fraction", "0.3"], "validation split of the run"),
        (["--nonsense", "1"], "nonsense"),
    ],
)
def test_evaluate__bad_input(options, said, trained, evaluate):
    before = sorted(trained.rglob("*"))
    code, _, err = evaluate(trained, *options)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2
    assert sorted(trained.rglob("*")) == before


@pytest.mark.parametrize("content", [None, b"", b"data: {}\n", b"\x80\x04garbage"])
def test_evaluate__no_checkpoint(content, tmp_path, evaluate):
    path = tmp_path / "model.ckpt"
    if content is not None:
        path.write_bytes(content)
    code, _, err = evaluate(path)
    assert code == 2
    assert str(path) in err
    assert err.count("\n") == 1


def test_evaluate__data_that_is_gone(folder, evaluate):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    there = config["data"]["init_args"]["root"]
    shutil.move(there, f"{there}-gone")
    try:
        code, _, err = evaluate(folder)
    finally:
        shutil.move(f"{there}-gone", there)
    assert code == 2
    assert there in err
    assert "Traceback" not in err


def test_evaluate__classification_has_calibration_and_a_row_for_each_image(fit, recipe, evaluate):
    done = fit("--config", recipe(CLASSIFIER))
    assert done.code == 0, done.err
    code, out, err = evaluate(done.folder, "--calibrate", "--split", "val")
    assert (code, err) == (0, "")
    assert "as in metrics.json" in out
    made = done.folder / "evaluations" / "val"
    names = metrics(made)
    assert {"val/ece", "val/nll", "val/brier", "val/accuracy"} <= names.keys()
    assert not [name for name in names if "boundary_iou" in name or "_small" in name]
    rows = table(made)
    assert len(rows) == 6
    assert all(float(row["score"]) == (row["truth"] == row["prediction"]) for row in rows)
    assert sum(float(row["score"]) for row in rows) == matrix(made, "val").trace()


@pytest.mark.slow
def test_evaluate__two_processes_count_the_same(folder, tmp_path, evaluate):
    options = ["--split", "all", "--calibrate", "--name", "made"]
    assert evaluate(folder, *options)[0] == 0
    whole = _results(folder)
    given = [str(folder), *options, "--devices", "2"]
    done = forked.run("lightseg.evaluate", given, tmp_path, {**os.environ}, tmp_path / "output")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("evaluation: ") == 1
    shared = _results(folder)
    # alone a sum of floats: its order is that of the processes
    assert shared.pop("loss") == pytest.approx(whole.pop("loss"), rel=1e-6)
    assert shared == whole


def _results(folder):
    """All that an evaluation of all splits, called "made", has found; counts and what follows from them as it is."""
    made = folder / "evaluations" / "made"
    numbers, calibration = metrics(made), json.loads((folder / "calibration.json").read_text())
    files = {name: (made / name).read_text() for name in ("confusion_all.csv", "images.csv", "views.json")}
    return {"loss": numbers.pop("all/loss"), "numbers": numbers, "calibration": calibration, **files}


def test_evaluate__images_that_a_net_of_a_library_refuses(tmp_path, evaluate):
    kwargs = "{img_size: 32, mlp_ratio: [0.1, 0.1]}"
    net = ["--model.net", "TimmNet", "--model.net.encoder", "mixer_s32_224", "--model.net.kwargs", kwargs]
    run = train(tmp_path, CLASSIFIER, *net)
    code, _, err = evaluate(run, "--data.image_size", "64")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("lightseg: error: model.net: TimmNet cannot take the images of this data: ")
