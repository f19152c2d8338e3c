"""Tasks whose classes may overlap, from training to prediction."""

import csv
import json
import os
import pkgutil

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_expit

import lightseg
from lightseg import compare, evaluate, explain, export, predict
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.nets import SimpleCNN
from lightseg.tasks import BinaryClassificationTask, MultilabelClassificationTask
from lightseg.tasks.fine_tuning import SharedWeights
from tests.data.datasets.labeled_pictures import label_rows, paint, recipe_text, write_table
from tests.helpers.forked_process import run_forked
from tests.helpers.processes import DDP, wait_for_run

DISCS = '''
import hashlib

import numpy as np

from lightseg.data import ImageDataModule, ImageDataset


def disc(random, size):
    """A disc (H, W) bool somewhere in the picture."""
    y, x = np.mgrid[:size, :size]
    row, column, radius = *random.uniform(8, size - 8, 2), random.uniform(6, 11)
    return (y - row) ** 2 + (x - column) ** 2 < radius**2


class Dataset(ImageDataset):
    multilabel = True

    def __init__(self, split, number, classes, rare, void):
        self.samples, self.split = [], split
        random = np.random.default_rng(["train", "val", "test"].index(split))
        for index in range(number):
            masks = np.stack([disc(random, 32) & (random.random() < (rare if c else 1)) for c in range(classes)], 2)
            image = random.integers(0, 80, (32, 32, 3))
            image[..., :classes] += 120 * masks
            target = masks.astype(np.uint8)
            # of one class, and of as many rows as no other batch may have
            target[: void * (index % 3), :, 0] = 255
            self.samples.append((image.astype(np.uint8), target))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        image, target = self.samples[index]
        return image.copy(), target.copy()

    def name(self, index):
        return f"{self.split}-{index}"

    def fingerprint(self):
        return hashlib.sha256(b"".join(part.tobytes() for sample in self.samples for part in sample)).hexdigest()


class Discs(ImageDataModule):
    """Discs of two classes, one in the red and one in the green channel, which may overlap."""

    multilabel = True

    def __init__(self, train: int = 40, number: int = 2, rare: float = 1.0, void: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.sizes, self.number, self.rare, self.void = {"train": train, "val": 8, "test": 9}, number, rare, void

    @property
    def classes(self):
        return ["red", "green"][: self.number]

    def make_dataset(self, split):
        return Dataset(split, self.sizes[split], self.number, self.rare, self.void)
'''

SEGMENTATION = """
base: [configs/net/unet.yaml, configs/hardware/cpu.yaml]
model:
  class_path: MultilabelSegmentationTask
  init_args:
    net: {class_path: UNet, init_args: {width: 8, depth: 2}}
    loss: {bce: 1.0, dice: 1.0}
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}
data: {class_path: discs.Discs, init_args: {batch_size: 8, num_workers: 0, void: 2}}
trainer: {max_epochs: 8, precision: 32-true, log_every_n_steps: 1}
"""


@pytest.fixture
def discs(own_module, recipe):
    """A recipe of overlapping discs."""
    own_module("discs", DISCS)
    return recipe(SEGMENTATION, "discs.yaml")


@pytest.fixture
def pictures(tmp_path):
    """60 pictures that are red, blue or both, with `labels.csv`; a label of one is unknown."""
    root = paint(tmp_path / "pictures", 20)
    rows = label_rows(root)
    rows[-1][2] = ""
    write_table(root / "labels.csv", rows, ("path", "red", "blue"))
    return root


def _best_temperature(model):
    """Return the temperature with the least binary cross-entropy on the validation split, by another minimizer."""
    data = pkgutil.resolve_name("discs:Discs")(num_workers=0, void=2)
    logits, truth = [], []
    for image, target in data.make_dataset("val"):
        logits.append(model.predict(image, details=True).logits[target.transpose(2, 0, 1) != IGNORE])
        truth.append(target.transpose(2, 0, 1)[target.transpose(2, 0, 1) != IGNORE])
    signed = np.concatenate(logits) * (2.0 * np.concatenate(truth) - 1)
    best = minimize_scalar(lambda factor: -log_expit(factor * signed).mean(), bounds=(0.01, 100), method="bounded")
    return 1 / best.x


@pytest.mark.slow
def test_segmentation__overlapping_discs_are_learned_and_stay_apart(discs, fit, call, tmp_path):
    result = fit("--config", discs)
    assert result.code == 0, result.err
    assert min(result.metrics[f"test/iou/{name}"] for name in ("red", "green")) > 0.9
    model = lightseg.load(str(result.folder), trust=True)
    assert model.thresholds.tolist() == model.resolved["thresholds"]
    image = np.zeros((32, 32, 3), np.uint8)
    image[8:24, 4:20, 0], image[8:24, 12:28, 1] = 160, 160
    prediction = model.predict(image)
    assert prediction.shape == (2, 32, 32)
    assert (prediction.sum(0) == 2)[10:22, 13:19].mean() > 0.9
    details = model.predict(image, tta="flip", details=True)
    assert (details.probabilities >= model.thresholds.numpy()[:, None, None]).astype(
        np.uint8
    ).tolist() == details.classes.tolist()
    assert details.uncertainty.shape == (32, 32)
    windows = model.predict(image, window=16)
    assert windows.shape == prediction.shape
    code, out, err = call(evaluate.main, result.folder, "--trust")
    assert code == 0, err
    assert "as in metrics.json" in out
    code, out, err = call(evaluate.main, result.folder, "--trust", "--calibrate")
    assert code == 0, err
    calibration = json.loads((result.folder / "calibration.json").read_text())
    assert f"temperature {calibration['temperature']:g}, fitted on val (15,936 valid labels, all of them)" in out
    assert calibration["temperature"] == pytest.approx(_best_temperature(model), rel=1e-3)
    assert calibration["ece_after"] < calibration["ece_before"]
    scores = json.loads((result.folder / "evaluations/test/metrics.json").read_text())
    assert scores["test/ece_calibrated"] == pytest.approx(
        np.mean([scores[f"test/ece_calibrated/{name}"] for name in ("red", "green")])
    )
    calibrated = lightseg.load(str(result.folder), trust=True)
    assert calibrated.temperature == calibration["temperature"]
    assert calibrated.predict(image).tolist() == prediction.tolist()
    code, out, err = call(explain.main, result.folder, "--trust")
    assert code == 0, err
    page = (result.folder / "explain.html").read_text()
    assert f"with the temperature {calibrated.temperature:g} that was fitted on validation images" in page
    assert "evidence for" in page
    Image.fromarray(image).save(tmp_path / "two.png")
    options = [tmp_path / "two.png", "--out", tmp_path / "masks", "--threshold", "0.9", "--trust", "--multichannel"]
    code, _, err = call(predict.main, result.folder, *options)
    assert code == 0, err
    masks = tifffile.imread(tmp_path / "masks/two.tif")
    probabilities = calibrated.predict(image, details=True).probabilities
    assert masks.tolist() == (probabilities >= 0.9).astype(np.uint8).tolist()
    legend = json.loads((tmp_path / "masks/classes.json").read_text())
    assert legend["thresholds"] == pytest.approx([0.9, 0.9])
    code, _, err = call(export.main, result.folder, "--trust", "--format", "onnx")
    assert code == 0, err
    assert json.loads((result.folder / "export/parity.json").read_text())["model.onnx"]["agreement"] == 1


def test_classification__labels_of_a_table(pictures, recipe, fit, call, tmp_path):
    path = recipe(recipe_text(table=pictures / "labels.csv", label_columns=["red", "blue"]))
    result = fit("--config", path)
    assert result.code == 0, result.err
    assert result.metrics["test/macro_f1"] > 0.9
    assert result.metrics["test/exact_match"] > 0.8
    images = [pictures / name for name in ("cat/00.png", "dog/01.png", "both/02.png")]
    code, _, err = call(predict.main, result.folder, *images, "--out", tmp_path / "out")
    assert code == 0, err
    rows = list(csv.DictReader((tmp_path / "out/labels.csv").read_text().splitlines()))
    row_of = {row["file"].removeprefix(f"{pictures}/"): row for row in rows}
    expected = {"cat/00.png": "red", "dog/01.png": "blue", "both/02.png": "red; blue"}
    assert {name: row["classes"] for name, row in row_of.items()} == expected
    prediction = lightseg.load(str(result.folder)).predict(images[0], details=True)
    assert prediction.classes.tolist() == [1, 0]
    row = row_of["cat/00.png"]
    assert [float(row["red"]), float(row["blue"])] == pytest.approx(prediction.probabilities.tolist(), abs=1e-6)
    code, _, err = call(predict.main, result.folder, *images, "--out", tmp_path / "out", "--threshold", "0.9")
    assert (code, "holds predictions with other thresholds" in err) == (2, True)
    second = fit("--config", path, "--seed_everything", 1)
    code, out, err = call(compare.main, result.folder, second.folder, "--html", tmp_path / "page.html")
    assert code == 0, err
    assert "macro F1" in out


@pytest.mark.slow
def test_classification__is_calibrated_explained_and_exported(pictures, recipe, fit, call):
    path = recipe(recipe_text(table=pictures / "labels.csv", label_columns=["red"]))
    result = fit("--config", path, "--model", "BinaryClassificationTask")
    for verb, *options in ((evaluate, "--calibrate"), (explain,), (export, "--format", "onnx")):
        code, _, err = call(verb.main, result.folder, *options)
        assert code == 0, err
    assert "labels of images are wrong" in (result.folder / "explain.html").read_text()
    temperature = json.loads((result.folder / "calibration.json").read_text())["temperature"]
    parity = json.loads((result.folder / "export/parity.json").read_text())["model.onnx"]
    assert (parity["agreement"], lightseg.load(str(result.folder)).temperature) == (1, temperature)


def test_fit_thresholds__raises_the_f1_of_a_rare_class(discs, fit, call, tmp_path):
    options = ["--config", discs, "--data.rare", 0.1, "--trainer.max_epochs", 3, "--model.loss", "bce"]
    fixed, fitted = fit(*options, "--model.thresholds", 0.5), fit(*options)
    assert fitted.metrics["val/dice"] > fixed.metrics["val/dice"]
    assert fitted.metrics["val/average_precision"] == fixed.metrics["val/average_precision"]
    folders = fixed.folder, fitted.folder
    code, out, err = call(compare.main, *folders, "--split", "val", "--html", tmp_path / "page.html", "--trust")
    assert (code, "mIoU %" in out) == (0, True), err
    # the images on which the two differ, with the masks of both
    assert "prediction of thresholds 0.5" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.loss", "ce"], "ce is for classes that exclude each other; take bce here"),
        (["--model", "SegmentationTask", "--model.loss", "ce"], "take MultilabelSegmentationTask"),
        (["--model", "BinarySegmentationTask"], "the data has 2; take MultilabelSegmentationTask"),
        (["--model.logit_adjustment", "1"], "model.logit_adjustment: shifts classes against each other"),
        (["--model.loss", "dice", "--model.positive_weights", "balanced"], "add bce or focal"),
        (["--model.positive_weights", "[1, 1]"], "model.positive_weights: [1.0, 1.0] change nothing"),
        (["--model.class_weights_from", "0.5"], "model.class_weights_from: there are no weights to wait for"),
        (["--model.thresholds", "1.5"], "must be a probability, above 0 and below 1, got 1.5"),
        (["--model.thresholds", "[0.5]"], "1 thresholds for 2 classes"),
        (["--data", "Shapes"], "cannot learn from Shapes"),
    ],
)
def test_fit__refuses_what_has_no_meaning(discs, fit, options, message):
    result = fit("--config", discs, *options)
    assert (result.code, message in result.err) == (2, True), result.err
    assert not list(discs.parent.glob("runs/*/*"))


def test_task__decides_by_its_thresholds():
    task = MultilabelClassificationTask(SimpleCNN(2), ["a", "b"], thresholds=[0.25, 0.75])
    logits = torch.tensor([[0.25, 0.75], [0.2499, 0.7499]]).logit()
    assert task.decide(logits).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(ConfigError, match="one class, and the data has 2"):
        BinaryClassificationTask(SimpleCNN(2), ["a", "b"])


@pytest.mark.slow
def test_average__keeps_the_thresholds_of_its_own_validation(discs, fit):
    ema = ["--trainer.callbacks+=lightseg.callbacks.EMA", "--trainer.callbacks.decay", 0.8]
    result = fit("--config", discs, *ema, "--trainer.max_epochs", 3, "--data.rare", 0.3)
    # the run fails if the best checkpoint does not repeat its score
    assert result.code == 0, result.err
    assert lightseg.load(str(result.folder), trust=True).thresholds.tolist() != [0.5, 0.5]


@pytest.mark.slow
def test_processes__share_losses_thresholds_and_counts(discs, fit, launch, tmp_path):
    options = ["--config", discs, "--trainer.max_epochs", 2, "--trainer.precision", "64-true", "--data.rare", 0.3]
    options += ["--model.net.norm", "none", "--model.positive_weights", "balanced"]
    one, two = fit(*options), wait_for_run(launch(*options, *DDP))
    losses = [
        [
            line["train/loss"]
            for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
            if "train/loss" in line
        ]
        for folder in (one.folder, two)
    ]
    assert len(losses[0]) == 10
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-9)
    for name in ("histogram_val.csv", "histogram_test.csv"):
        assert (one.folder / name).read_text() == (two / name).read_text()
    assert json.loads((two / "metrics.json").read_text())["test/miou"] == one.metrics["test/miou"]


@pytest.mark.slow
def test_evaluation__counts_every_label_once_on_one_two_and_three_processes(discs, fit, own_module, tmp_path):
    own_module("score", SCORE)
    folder = fit("--config", discs, "--trainer.max_epochs", 1).folder
    results = []
    for devices in (1, 2, 3):
        done = run_forked("score", [str(folder), str(devices)], tmp_path, {**os.environ}, tmp_path / f"output{devices}")
        assert done.returncode == 0, done.stderr
        results.append((tmp_path / f"{devices}.txt").read_text())
    assert results[0] == results[1] == results[2]


SCORE = """
import sys
import lightning as L
import lightseg
from discs import Discs

if __name__ == "__main__":
    folder, devices = sys.argv[1], int(sys.argv[2])
    task = lightseg.load(folder, trust=True)
    # as many images at once on each of them: logits are rounded otherwise in a batch of another size
    data = Discs(void=2, batch_size=2 * devices, num_workers=0)
    trainer = L.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", logger=False,
        use_distributed_sampler=False, enable_progress_bar=False,
    )
    trainer.test(task, data, verbose=False)
    if trainer.is_global_zero:
        with open(f"{devices}.txt", "w") as file:
            file.write(f"{task.counts['test'].tolist()} {task.image_counts['test'].tolist()}")
"""


def test_thresholds__are_of_probabilities_at_the_temperature():
    task = MultilabelClassificationTask(SimpleCNN(2), ["a", "b"])
    # 0.97 and 0.02 are the probabilities of these logits at a temperature of 3
    limits = 3 * torch.tensor([0.97, 0.02]).logit()
    task.set_thresholds([0.97, 0.02], temperature=3.0)
    assert task.decide(torch.stack([limits - 0.01, limits + 0.01])).tolist() == [[0, 0], [1, 1]]
    assert task.thresholds_at(3.0) == pytest.approx([0.97, 0.02], abs=1e-5)
    task.set_thresholds(0.999, temperature=20.0)
    # no probability above 1 would be asked for
    assert task.decide(torch.tensor([[200.0, 16.0]])).tolist() == [[1, 0]]


def test_load_checkpoint__takes_thresholds_and_the_weights_that_it_leaves_out():
    task = MultilabelClassificationTask(SimpleCNN(num_classes=2), ["a", "b"])
    name, *names = [name for name in task.state_dict() if name.startswith("net.")]
    task.shared = SharedWeights("init.ckpt", "0" * 64, [name])
    state = {key: torch.zeros_like(task.state_dict()[key]) for key in names}
    checkpoint = {"state_dict": state, "lightseg": {"resolved": {"thresholds": [0.25, 0.75]}}}
    task.on_load_checkpoint(checkpoint)
    assert task.thresholds.tolist() == [0.25, 0.75]
    assert checkpoint["state_dict"].keys() == {name, *names}
    assert torch.equal(checkpoint["state_dict"][name], task.state_dict()[name])


@pytest.mark.slow
def test_evaluate__takes_other_thresholds_under_a_name_of_their_own(pictures, recipe, fit, call):
    path = recipe(recipe_text(table=pictures / "labels.csv", label_columns=["red", "blue"], batch_size=8))
    result = fit("--config", path, "--model", "MultilabelClassificationTask", "--trainer.max_epochs", 1)
    assert "thresholds are fitted on few positive images of val: " in result.err
    for option, name in (("0.001", "test-threshold0.0009766"), ("0.9990234375", "test-threshold0.999"), (None, "test")):
        options = ["--threshold", option] if option else []
        code, out, err = call(evaluate.main, result.folder, *options)
        assert code == 0, err
        metrics = json.loads((result.folder / "evaluations" / name / "metrics.json").read_text())
        assert ("as in metrics.json" in out) == (option is None)
        if option == "0.001":
            # nearly every label is predicted
            assert metrics["thresholds"] == [1 / 1024, 1 / 1024]
            assert metrics["test/recall"] == 1
        elif option:
            assert metrics["test/recall"] == 0
    for option, message in (("high", "--threshold high: is no number"), ("1,0.5", "above 0 and below 1, got 1.0")):
        code, _, err = call(evaluate.main, result.folder, "--threshold", option)
        assert (code, message in err) == (2, True), err
