"""`evaluate` from the command line, on a small trained net and images of many sizes."""

import csv
import json
import os
import re
import shutil
from functools import partial

import numpy as np
import pytest
import yaml

import lightseg
from lightseg.checkpoint.rebuild import build_data
from lightseg.compare import main as compare_main
from lightseg.evaluate import main
from lightseg.evaluation import calibrate
from lightseg.evaluation.scoring import Scorer
from lightseg.metrics.per_image import PerImageResults
from tests.data.fabricate import save
from tests.helpers.forked_process import run_forked
from tests.helpers.train import train

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
    """Write images of several sizes with squares brighter or darker than the ground, bordered by void."""
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
    """Return a run that is not changed by tests."""
    root = tmp_path_factory.mktemp("trained")
    _images(root / "squares", 40)
    return train(root, MIXED.replace("ROOT", str(root / "squares")))


@pytest.fixture
def folder(trained, tmp_path):
    """Return a copy of the run."""
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


def test_evaluate__repeats_the_numbers_of_the_run(folder, evaluate):
    code, out, err = evaluate(folder)
    assert (code, err) == (0, "")
    assert "as in metrics.json" in out
    evaluation = folder / "evaluations" / "test"
    assert out.splitlines()[-1] == f"evaluation: {evaluation}"
    numbers = metrics(evaluation)
    recorded = {name: value for name, value in metrics(folder).items() if name.startswith("test/")}
    assert {name: numbers[name] for name in recorded} == pytest.approx(recorded, abs=1e-12)
    assert (evaluation / "confusion_test.csv").read_text() == (folder / "confusion_test.csv").read_text()
    results, expected = PerImageResults.read(evaluation, "test"), PerImageResults.read(folder, "test")
    assert (results.data, results.protocol, results.images) == (expected.data, expected.protocol, expected.images)
    np.testing.assert_array_equal(results.rows, expected.rows)


def test_evaluate__records_facts_and_extra_metrics(folder, evaluate):
    assert evaluate(folder)[0] == 0
    evaluation = folder / "evaluations" / "test"
    numbers, views, counts = (
        metrics(evaluation),
        json.loads((evaluation / "views.json").read_text()),
        matrix(evaluation),
    )
    assert (numbers["split"], numbers["samples"], numbers["precision"]) == ("test", 6, "32-true")
    assert numbers["protocol"] == "whole images, scored at the size of their ground truth"
    assert numbers["checkpoint"] == "checkpoints/best.ckpt"
    assert numbers["data"] == json.loads((folder / "data.json").read_text())["test"]["sha256"]
    assert sum(row["pixels"] for row in views["calibration"]) == counts.sum()
    assert round(sum(row["pixels"] * row["accuracy"] for row in views["calibration"])) == counts.trace()
    for row, name in enumerate(("ground", "dark", "bright")):
        sizes = views["objects"][name].values()
        assert sum(size["pixels"] for size in sizes) == counts[row].sum()
        assert sum(size["right"] for size in sizes) == counts[row, row]
    overlap, truth, prediction = (views["boundary"]["dark"][part] for part in ("both", "truth", "prediction"))
    assert numbers["test/boundary_iou/dark"] == overlap / (truth + prediction - overlap)
    rows = table(evaluation)
    assert sum(int(row["valid_pixels"]) for row in rows) == counts.sum()
    scores = [float(rows[0][name]) for name in ("iou/ground", "iou/dark", "iou/bright") if rows[0][name]]
    assert float(rows[0]["score"]) == pytest.approx(np.mean(scores), abs=1e-6)


@pytest.mark.slow
def test_evaluate__batch_size_and_large_windows_change_nothing(folder, evaluate):
    variants = {
        "one": ["--batch_size", 1],
        "four": ["--batch_size", 4],
        "window": ["--window", 64, "--batch_size", 4],
        "window_one": ["--window", 640, "--batch_size", 1],
    }
    for name, options in variants.items():
        # in float32, rounding in another batch could change a pixel whose classes are almost equal
        options += ["--precision", "64-true"]
        assert evaluate(folder, "--split", "all", "--name", name, *options)[0] == 0
    first = folder / "evaluations" / "one"
    for name in variants:
        variant = folder / "evaluations" / name
        np.testing.assert_array_equal(matrix(variant, "all"), matrix(first, "all"))
        assert (variant / "images.csv").read_text() == (first / "images.csv").read_text()
        assert json.loads((variant / "views.json").read_text())["boundary"]
    assert metrics(variant)["protocol"] != metrics(first)["protocol"]


def test_evaluate__protocol_is_in_the_name_and_the_record(folder, evaluate):
    code, out, _ = evaluate(folder, "--window", 32, "--overlap", 0.5, "--tta", "flip")
    evaluation = folder / "evaluations" / "test-window32-overlap0.5-flip"
    assert code == 0
    assert out.splitlines()[-1] == f"evaluation: {evaluation}"
    assert "as in metrics.json" not in out
    protocol = metrics(evaluation)["protocol"]
    assert "windows of 32" in protocol
    assert "mirrored" in protocol
    assert PerImageResults.read(evaluation, "test").protocol == protocol
    assert matrix(evaluation).sum() == matrix(folder).sum()


def test_evaluate__all_is_every_sample_of_every_split_once(folder, evaluate):
    for split in ("train", "val", "test", "all"):
        # the batches differ; see above
        assert evaluate(folder, "--split", split, "--precision", "64-true")[0] == 0
    evaluations = {split: folder / "evaluations" / split for split in ("train", "val", "test", "all")}
    parts = sum(matrix(evaluations[split], split) for split in ("train", "val", "test"))
    np.testing.assert_array_equal(matrix(evaluations["all"], "all"), parts)
    rows = table(evaluations["all"])
    assert len(rows) == 40
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    val_rows = [row for row in rows if row["split"] == "val"]
    assert val_rows == table(evaluations["val"])


@pytest.mark.parametrize("source", ["option", "file"])
def test_evaluate__another_folder(source, folder, tmp_path, evaluate):
    _images(tmp_path / "other", 5, first=100)
    config = tmp_path / "other.yaml"
    block = {"class_path": "MaskFolder", "init_args": {"root": "other", "classes": ["ground", "dark", "bright"]}}
    block["init_args"]["root"] = str(tmp_path / "other")
    config.write_text(yaml.safe_dump({"data": block}))
    options = ["--data.root", tmp_path / "other"] if source == "option" else ["--config", config]
    code, out, err = evaluate(folder, *options, "--split", "all")
    assert (code, err) == (0, "")
    assert "as in metrics.json" not in out
    (evaluation,) = folder.glob("evaluations/*")
    assert re.fullmatch("all-[0-9a-f]{8}", evaluation.name)
    assert metrics(evaluation)["samples"] == 5
    assert str(tmp_path / "other") in metrics(evaluation)["dataset"]
    assert "--split all" not in out


def test_evaluate__another_folder_of_which_a_part_is_scored(folder, tmp_path, evaluate):
    _images(tmp_path / "other", 20, first=100)
    code, out, err = evaluate(folder, "--data.root", tmp_path / "other")
    assert (code, err) == (0, "")
    line = "scores 3 of 20 images: the test split, a random part by data.test_fraction; --split all scores all"
    assert line in out.splitlines()
    # of the data of the run this is known
    assert "--split all" not in evaluate(folder)[1]


RESIZED = [{"class_path": "albumentations.Resize", "init_args": {"height": 16, "width": 16}}]


@pytest.mark.parametrize(
    "split", ["all", *(pytest.param(split, marks=pytest.mark.slow) for split in ("train", "test"))]
)
@pytest.mark.parametrize(
    ("option", "value"),
    [("eval_transforms", RESIZED), ("values", {0: "ground", 1: "bright", 2: "dark"})],
    ids=["pixels", "labels"],
)
def test_evaluate__options_that_change_scores_get_another_name(option, value, split, folder, evaluate):
    assert evaluate(folder, "--split", split)[0] == 0
    plain = folder / "evaluations" / split
    before = (plain / "metrics.json").read_bytes()
    changed = [f"--data.{option}={json.dumps(value)}", "--split", split]
    code, out, err = evaluate(folder, *changed)
    assert (code, err) == (0, "")
    assert "as in metrics.json" not in out
    assert f"data.{option}: " in out
    (evaluation,) = (path for path in folder.glob("evaluations/*") if path != plain)
    assert re.fullmatch(f"{split}-[0-9a-f]{{8}}", evaluation.name)
    assert list(metrics(evaluation)["data_options"]) == [f"data.{option}"]
    assert metrics(evaluation)[f"{split}/score"] != metrics(plain)[f"{split}/score"]
    # they cannot replace the plain evaluation, and no temperature is fitted on them
    code, _, err = evaluate(folder, *changed, "--name", split)
    assert code == 2
    assert "options of the data" in err
    assert evaluate(folder, *changed, "--calibrate")[0] == 2
    assert (plain / "metrics.json").read_bytes() == before
    assert not (folder / "calibration.json").exists()


@pytest.mark.slow
def test_evaluate__options_without_effect_on_scores_keep_the_name(folder, tmp_path, evaluate):
    block = yaml.safe_load((folder / "config.yaml").read_text())["data"]
    restated = tmp_path / "same.yaml"
    restated.write_text(yaml.safe_dump({"data": block}))
    training_options = ["--data.batch_size", 2, "--data.cache_gb", 0, "--data.sampling", "class_balanced"]
    for options in ([], ["--config", restated], [*training_options, "--data.train_transforms", "null"]):
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


def test_evaluate__invalid_out_is_refused_before_scoring(folder, evaluate, monkeypatch):
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("scoring has started"))
    for out in (folder / "config.yaml", folder / "config.yaml" / "below"):
        code, _, err = evaluate(folder, "--out", out)
        assert code == 2
        assert "a file; give a folder" in err


@pytest.mark.parametrize("name", ["calibration.json", "evaluations", "evaluations/test"])
def test_evaluate__link_in_the_run_is_not_written_through(name, folder, tmp_path, evaluate, monkeypatch):
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("scoring has started"))
    target = tmp_path / "elsewhere"
    target.mkdir()
    link = folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target / "new" if name == "calibration.json" else target)
    code, _, err = evaluate(folder, *["--calibrate"] * (name == "calibration.json"))
    assert code == 2
    assert f"{link}: is a link, a pipe or a device, and is not written through; remove it" in err
    assert err.count("\n") == 1
    assert not any(target.iterdir())


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["ground", "dark"], "lacks bright"),
        (["ground", "dark", "bright", "car"], "has car"),
        (["ground", "bright", "dark"], "another order: ground, bright, dark"),
    ],
)
def test_evaluate__other_classes_are_refused(classes, message, folder, evaluate):
    code, _, err = evaluate(folder, f"--data.classes={json.dumps(classes)}")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (folder / "evaluations").exists()


@pytest.mark.slow
def test_evaluate__replaces_only_the_same_evaluation(folder, evaluate):
    assert evaluate(folder, "--name", "mine")[0] == 0
    evaluation = folder / "evaluations" / "mine"
    (evaluation / "images.csv").write_text("")
    assert evaluate(folder, "--name", "mine", "--boundary", 0.1)[0] == 0
    assert (evaluation / "images.csv").read_text()
    before = (evaluation / "metrics.json").read_text()
    for options, difference in ((["--split", "val"], "split and data"), (["--tta", "flip"], "protocol")):
        code, _, err = evaluate(folder, "--name", "mine", *options)
        assert code == 2
        assert f"another {difference}" in err
    assert (evaluation / "metrics.json").read_text() == before
    assert [path.name for path in folder.glob("evaluations/*")] == ["mine"]
    code, _, err = evaluate(folder, "--out", folder)
    assert code == 2
    assert "no evaluation" in err


@pytest.mark.parametrize("changed", ["test/score", "test/iou/dark", "test/loss"])
def test_evaluate__other_numbers_than_recorded_are_an_error(changed, folder, evaluate):
    recorded = metrics(folder)
    recorded[changed] += 0.001
    (folder / "metrics.json").write_text(json.dumps(recorded))
    code, _, err = evaluate(folder)
    assert code == 1
    assert changed in err
    assert "cannot be trusted" in err
    assert not (folder / "evaluations").exists()


@pytest.mark.bf16
def test_evaluate__another_precision_may_change_the_last_bits(folder, evaluate):
    recorded = metrics(folder)
    recorded["test/score"] += 0.001
    (folder / "metrics.json").write_text(json.dumps(recorded))
    code, out, _ = evaluate(folder, "--precision", "bf16-mixed")
    assert code == 0
    assert "precision differ" in out
    assert metrics(folder / "evaluations" / "test")["precision"] == "bf16-mixed"


def test_evaluate__checkpoint_file_in_and_outside_a_run(folder, tmp_path, evaluate):
    assert evaluate(folder / "checkpoints" / "best.ckpt")[1].splitlines()[-1].endswith("/evaluations/test")
    assert evaluate(folder / "checkpoints" / "last.ckpt")[1].splitlines()[-1].endswith("/evaluations/test-last")
    alone = shutil.copy(folder / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")
    code, _, err = evaluate(alone)
    assert code == 2
    assert "--out" in err
    assert evaluate(alone, "--out", tmp_path / "result")[0] == 0
    np.testing.assert_array_equal(matrix(tmp_path / "result"), matrix(folder))


def test_calibrate__reduces_the_error_and_keeps_predictions(folder, evaluate):
    assert evaluate(folder, "--split", "val")[0] == 0
    code, out, err = evaluate(folder, "--split", "val", "--calibrate", "--name", "after")
    assert (code, err) == (0, "")
    calibration = json.loads((folder / "calibration.json").read_text())
    assert calibration["ece_after"] < calibration["ece_before"]
    assert calibration["nll_after"] < calibration["nll_before"]
    assert calibration["temperature"] != 1
    assert calibration["pixels"] == calibration["fitted_on"] == matrix(folder, "val").sum()
    assert f"written: {folder / 'calibration.json'}" in out
    before, after = folder / "evaluations" / "val", folder / "evaluations" / "after"
    np.testing.assert_array_equal(matrix(before, "val"), matrix(after, "val"))
    numbers = metrics(after)
    assert numbers["temperature"] == calibration["temperature"]
    assert numbers["val/ece"] == metrics(before)["val/ece"] == calibration["ece_before"]
    assert numbers["val/ece_calibrated"] == calibration["ece_after"]
    # a later evaluation uses it, except with test-time augmentation
    assert evaluate(folder)[0] == evaluate(folder, "--tta", "flip")[0] == 0
    assert metrics(folder / "evaluations" / "test")["temperature"] == calibration["temperature"]
    assert "test/ece_calibrated" in metrics(folder / "evaluations" / "test")
    assert "test/ece_calibrated" not in metrics(folder / "evaluations" / "test-flip")


def test_calibrate__rejects_a_temperature_that_increases_the_error(folder, evaluate, monkeypatch):
    monkeypatch.setattr(calibrate, "fit_temperature", lambda logits, target: 90.0)
    code, out, _ = evaluate(folder, "--calibrate")
    assert code == 0
    calibration = json.loads((folder / "calibration.json").read_text())
    assert calibration["temperature"] == 1
    assert calibration["ece_after"] == calibration["ece_before"]
    assert "no temperature made the error smaller" in out


def test_calibrate__on_an_even_sample(folder, evaluate, monkeypatch):
    monkeypatch.setattr("lightseg.evaluation.temperature.SAMPLE", 3 * 1000)
    assert evaluate(folder, "--calibrate")[0] == 0
    calibration = json.loads((folder / "calibration.json").read_text())
    assert 900 < calibration["fitted_on"] <= 1100 < calibration["pixels"]
    assert calibration["ece_after"] <= calibration["ece_before"]


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_evaluate__bad_input(options, message, trained, evaluate):
    before = sorted(trained.rglob("*"))
    code, _, err = evaluate(trained, *options)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2
    assert sorted(trained.rglob("*")) == before


@pytest.mark.parametrize(("cores", "message"), [(1, "may use 1 core\n"), (2, "may use 2 cores\n")])
def test_evaluate__more_processes_than_cores(trained, evaluate, monkeypatch, cores, message):
    monkeypatch.setattr("lightseg.evaluation.scoring.usable_cores", lambda: cores)
    code, _, err = evaluate(trained, "--devices", "3")
    assert code == 2
    assert message in err


@pytest.mark.parametrize("content", [None, b"", b"data: {}\n", b"\x80\x04garbage"])
def test_evaluate__no_checkpoint(content, tmp_path, evaluate):
    path = tmp_path / "model.ckpt"
    if content is not None:
        path.write_bytes(content)
    code, _, err = evaluate(path)
    assert code == 2
    assert str(path) in err
    assert err.count("\n") == 1


def test_evaluate__missing_data(folder, evaluate):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    root = config["data"]["init_args"]["root"]
    shutil.move(root, f"{root}-gone")
    try:
        code, _, err = evaluate(folder)
    finally:
        shutil.move(f"{root}-gone", root)
    assert code == 2
    assert root in err
    assert "Traceback" not in err


def test_evaluate__classification_has_calibration_and_a_row_per_image(fit, recipe, evaluate):
    run = fit("--config", recipe(CLASSIFIER))
    assert run.code == 0, run.err
    code, out, err = evaluate(run.folder, "--calibrate", "--split", "val")
    assert (code, err) == (0, "")
    assert "as in metrics.json" in out
    evaluation = run.folder / "evaluations" / "val"
    names = metrics(evaluation)
    assert {"val/ece", "val/nll", "val/brier", "val/accuracy"} <= names.keys()
    assert not [name for name in names if "boundary_iou" in name or "_small" in name]
    rows = table(evaluation)
    assert len(rows) == 6
    assert all(float(row["score"]) == (row["truth"] == row["prediction"]) for row in rows)
    assert sum(float(row["score"]) for row in rows) == matrix(evaluation, "val").trace()


@pytest.mark.slow
def test_evaluate__two_processes_count_the_same(folder, tmp_path, evaluate):
    options = ["--split", "all", "--calibrate", "--name", "all-splits"]
    assert evaluate(folder, *options)[0] == 0
    expected = _results(folder)
    arguments = [str(folder), *options, "--devices", "2"]
    process = run_forked("lightseg.evaluate", arguments, tmp_path, {**os.environ}, tmp_path / "output")
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("evaluation: ") == 1
    results = _results(folder)
    # the only sum of floats, whose order depends on the processes
    assert results.pop("loss") == pytest.approx(expected.pop("loss"), rel=1e-6)
    assert results == expected


def _results(folder):
    """Return all results of the evaluation `all-splits`."""
    evaluation = folder / "evaluations" / "all-splits"
    numbers, calibration = metrics(evaluation), json.loads((folder / "calibration.json").read_text())
    files = {name: (evaluation / name).read_text() for name in ("confusion_all.csv", "images.csv", "views.json")}
    return {"loss": numbers.pop("all/loss"), "numbers": numbers, "calibration": calibration, **files}


def test_evaluate__images_that_the_net_refuses(tmp_path, evaluate):
    kwargs = "{img_size: 32, mlp_ratio: [0.1, 0.1]}"
    net = ["--model.net", "TimmNet", "--model.net.encoder", "mixer_s32_224", "--model.net.kwargs", kwargs]
    run = train(tmp_path, CLASSIFIER, *net)
    code, _, err = evaluate(run, "--data.image_size", "64")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("lightseg: error: model.net: TimmNet cannot take the images of this data: ")


ENSEMBLE = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model: {init_args: {net: {init_args: {width: 4, depth: 2}}}}
data:
  init_args: {image_size: 32, train_size: 12, val_size: 5, test_size: 9, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 2, log_every_n_steps: 1}
"""


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Return the runs of two folds, which are not changed by tests."""
    root = tmp_path_factory.mktemp("folds")
    for fold in (0, 1):
        train(root, ENSEMBLE, "--data.folds", "2", "--data.fold", str(fold), "--seed_everything", str(fold))
    return sorted(root.glob("runs/recipe/*"))


def test_evaluate__ensemble_of_folds_scores_the_mean_of_their_probabilities(folds, evaluate, call, tmp_path):
    out = tmp_path / "ensemble"
    code, printed, err = evaluate(f"{folds[0].parent}/*", "--out", out)
    assert (code, err) == (0, "")
    assert printed.splitlines()[-1] == f"evaluation: {out}"
    tasks = [lightseg.load(folder) for folder in folds]
    data = build_data(tasks[0].recipe["config"])
    expected = np.zeros((len(data.classes),) * 2, np.int64)
    for index in range(9):
        image, target = data.dataset("test")[index]
        mean = np.mean([task.predict(image, details=True).probabilities for task in tasks], 0)
        np.add.at(expected, (target[target != 255], mean.argmax(0)[target != 255]), 1)
    np.testing.assert_array_equal(matrix(out), expected)
    members = json.loads((out / "ensemble.json").read_text())["members"]
    assert [member["run"] for member in members] == list(map(str, folds))
    # the folder stands for the ensemble, and compare judges it against each member
    assert evaluate(out, "--out", tmp_path / "again")[0] == 0
    np.testing.assert_array_equal(matrix(tmp_path / "again"), expected)
    code, printed, err = call(compare_main, out, "--json", tmp_path / "compared.json")
    assert (code, err) == (0, "")
    compared = json.loads((tmp_path / "compared.json").read_text())
    assert sorted(run for group in compared["groups"] for trial in group["trials"] for run in trial["runs"]) == sorted(
        map(str, [out, *folds])
    )
    scores = {folder.name: metrics(folder)["test/score"] for folder in folds}
    best = max(scores, key=scores.get)
    text = " ".join(printed.split())
    # its members have no option that it has, and are not said to lack one
    assert "ensemble none" not in text
    assert re.search(rf"note: ensemble: an ensemble of 2 runs, of which {best}, seed \d, fold \d is the best", text)
    pair = rf"(ensemble|{best}, seed \d, fold \d)"
    assert re.search(rf"{pair} is (better|worse) than {pair} by|no difference shown between {pair} and {pair}:", text)


def test_evaluate__ensemble_of_folds_has_no_validation_split(folds, evaluate, tmp_path):
    code, _, err = evaluate("+".join(map(str, folds)), "--split", "val", "--out", tmp_path / "out")
    assert code == 2
    assert "--split val: the members of the ensemble have different ones" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "an ensemble is in no run folder; say by --out DIR where the result is to go"),
        (["--calibrate", "--out", "x"], "--calibrate: an ensemble averages the probabilities of its members"),
    ],
)
def test_evaluate__ensemble_with_what_is_of_one_run(folds, evaluate, options, message):
    code, _, err = evaluate(f"{folds[0]}+{folds[1]}", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_evaluate__pattern_without_runs(evaluate, tmp_path):
    code, _, err = evaluate(f"{tmp_path}/none*")
    assert (code, err) == (2, f"lightseg: error: {tmp_path}/none*: matches no run folder, which has a config.yaml\n")
