"""The real command on small generated data: what it leaves, what it prints, how it fails."""

import csv
import json
import os
import signal

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import lightseg
from lightseg import evaluate
from lightseg.data import Shapes
from lightseg.metrics.per_image import PerImageResults
from tests.conftest import ROOT, TINY, Outcome
from tests.data import fabricate
from tests.helpers.processes import wait_until
from tests.helpers.train import train

FOLDER = """
base: [configs/data/mask_folder.yaml, configs/net/unet.yaml]
model: {{init_args: {{net: {{init_args: {{width: 4, depth: 2}}}}}}}}
data: {{init_args: {{root: {root}, classes: [background, road], {labels}, num_workers: 0}}}}
trainer: {{accelerator: cpu, max_epochs: 1}}
"""


@pytest.fixture
def ran(fit, recipe):
    return fit("--config", recipe())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Finished run that no test changes."""
    return Outcome(0, f"run: {train(tmp_path_factory.mktemp('finished'), TINY)}", "")


@pytest.mark.pictures
def test_fit__leaves_one_self_sufficient_folder(ran):
    assert ran.code == 0
    assert {path.name for path in ran.folder.iterdir()} >= {
        "config.yaml",
        "command.txt",
        "env.json",
        "git.json",
        "data.json",
        "metrics.jsonl",
        "metrics.csv",
        "metrics.json",
        "confusion_val.csv",
        "confusion_test.csv",
    }
    assert {path.name for path in (ran.folder / "checkpoints").iterdir()} >= {"best.ckpt", "last.ckpt"}
    for picture in ("learning_curve", "confusion", "predictions"):
        with Image.open(ran.folder / "images" / f"{picture}.png") as image:
            assert image.size[0] > 300


def test_fit__ends_with_the_path_of_the_run(ran, tmp_path):
    assert ran.out.strip().splitlines()[-1].startswith("run: ")
    assert ran.folder.parent == tmp_path / "runs" / "tiny"


def test_metrics__are_flat_and_follow_from_the_confusion_matrix(finished):
    metrics = finished.metrics
    assert metrics["test/score"] == metrics["test/miou"]
    rows = list(csv.reader((finished.folder / "confusion_test.csv").read_text().splitlines()))
    counts = np.array(rows[1:], np.int64)
    true, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    for name, hit, either in zip(rows[0], true, union, strict=True):
        assert metrics[f"test/iou/{name}"] == (pytest.approx(hit / either) if either else None)
    assert metrics["test/miou"] == pytest.approx((true[union > 0] / union[union > 0]).mean())
    assert metrics["test/accuracy"] == pytest.approx(true.sum() / counts.sum())


def test_metrics__count_every_valid_pixel_once(finished):
    counts = np.loadtxt(finished.folder / "confusion_test.csv", np.int64, delimiter=",", skiprows=1)
    from lightseg.data import Shapes

    data = Shapes(image_size=32, train_size=12, val_size=5, test_size=5)
    assert (counts.sum(1) == data.class_counts("test")).all()


def test_best_checkpoint__gives_back_the_logged_score(finished):
    logged = [row["val/score"] for row in finished.log if "val/score" in row]
    assert finished.metrics["val/score"] == pytest.approx(max(logged), abs=1e-6)


def test_saved_config__runs_again_as_it_is_with_the_same_numbers(fit, ran):
    again = fit("--config", ran.folder / "config.yaml")
    assert again.code == 0
    assert again.folder != ran.folder
    assert again.folder.parent == ran.folder.parent
    timeless = {name: value for name, value in ran.metrics.items() if name != "train/seconds"}
    assert timeless.items() <= again.metrics.items()
    first, second = (yaml.safe_load((run.folder / "config.yaml").read_text()) for run in (ran, again))
    assert first == second


def test_runs__started_in_one_second_do_not_meet(tmp_path):
    from lightseg.runs.folder import create

    folders = {create(str(tmp_path), "same") for _ in range(20)}
    assert len(folders) == 20


@pytest.mark.bf16
def test_fit__bf16_trains_on_the_cpu(fit, recipe):
    outcome = fit("--config", recipe(), "--trainer.precision", "bf16-mixed")
    assert outcome.code == 0
    assert np.isfinite(outcome.metrics["val/loss"])


def test_fit__float64_is_kept_wherever_the_run_is_loaded(fit, recipe, call):
    ran = fit("--config", recipe(), "--trainer.precision", "64-true", "--model.class_weights", "median_frequency")
    assert ran.code == 0, ran.err
    task = lightseg.load(ran.folder)
    assert {parameter.dtype for parameter in task.parameters()} == {torch.float64}
    image = Shapes(image_size=32, train_size=12, val_size=5, test_size=5).eval_batch(0, "test")["image"][0]
    assert task.predict(image).shape == (32, 32)
    for precision in ("64-true", "32-true"):
        code, out, err = call(evaluate.main, ran.folder, "--precision", precision)
        assert (code, err) == (0, "")
        assert "as in metrics.json" in out
        assert f"{precision} on cpu" in out


def test_fit__trains_with_every_option_of_the_imbalance_kind(fit, recipe):
    options = ["--model.class_weights", "median_frequency", "--model.loss", "{focal: 1.0, tversky: {alpha: 0.3}}"]
    outcome = fit("--config", recipe(), *options)
    assert outcome.code == 0
    weights = torch.load(outcome.folder / "checkpoints/best.ckpt", weights_only=True)["lightseg"]["resolved"]
    assert len(set(weights["class_weights"])) == 6


@pytest.mark.pictures
def test_fit__classification(fit, recipe):
    text = """
base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]
data: {init_args: {train_size: 40, val_size: 10, test_size: 10, batch_size: 10, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 1}
"""
    outcome = fit("--config", recipe(text))
    assert outcome.code == 0
    assert outcome.metrics["test/score"] == outcome.metrics["test/accuracy"]
    assert {"test/balanced_accuracy", "test/macro_f1", "test/recall/ring"} <= outcome.metrics.keys()


def test_fit__ema_and_lightnings_callbacks(fit, recipe):
    outcome = fit(
        *("--config", recipe(), "--trainer.callbacks+=EMA", "--trainer.callbacks.decay=0.5"),
        *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/score"),
        "--trainer.callbacks.mode=max",
    )
    assert outcome.code == 0


@pytest.mark.bf16
def test_fit__bf16_throughout(fit, recipe):
    assert fit("--config", recipe(), "--trainer.precision", "bf16-true").code == 0


@pytest.mark.filterwarnings("ignore:You requested to overfit but enabled .* dataloader shuffling")
def test_fit__overfit_overlay_runs(fit, recipe):
    outcome = fit("--config", recipe(), "--config", "configs/debug/overfit.yaml", "--trainer.max_epochs", "10")
    assert outcome.code == 0


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_fit__that_ends_before_its_first_validation_says_which_checkpoint_was_tested(fit, recipe):
    outcome = fit("--config", recipe(), "--trainer.max_epochs", "null", "--trainer.max_steps", "1")
    assert outcome.code == 0
    assert "last checkpoint" in outcome.out
    assert "miou (score)" in outcome.out


def test_fit__a_users_own_model_checkpoint_stays_in_the_run_folder(fit, recipe):
    outcome = fit("--config", recipe(), "--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_top_k=-1")
    assert outcome.code == 0
    assert len(list((outcome.folder / "checkpoints").iterdir())) > 2


def test_fit__a_net_without_in_channels(fit, recipe, own_module):
    own_module(
        "colour",
        "import torch\n"
        "class Net(torch.nn.Conv2d):\n"
        "    def __init__(self, num_classes: int):\n"
        "        super().__init__(3, num_classes, 1)\n",
    )
    assert fit("--config", recipe(), "--model.net", "colour.Net").code == 0


def test_fit__without_a_test_split_scores_val(fit, recipe):
    outcome = fit("--config", recipe(), "--data.test_size", "0")
    assert outcome.code == 0
    assert "test/score" not in outcome.metrics


def test_fit__a_net_with_state_outside_its_checkpoint_is_found_out(fit, recipe, own_module):
    own_module(
        "forgetful",
        "import torch\n"
        "class Net(torch.nn.Conv2d):\n"
        "    steps = 0\n"
        "    def __init__(self, num_classes: int, in_channels: int = 3):\n"
        "        super().__init__(in_channels, num_classes, 1)\n"
        "    def forward(self, x):\n"
        "        self.steps += self.training\n"
        "        return super().forward(x).roll(self.steps, 1)\n",
    )
    outcome = fit("--config", recipe(), "--model.net", "forgetful.Net", "--trainer.max_epochs", "1")
    assert outcome.code == 1
    assert "its numbers cannot be trusted" in outcome.err


def test_fit__wrong_number_of_logits_is_an_error(fit, recipe, own_module):
    own_module(
        "stiff",
        "import torch\n"
        "class Net(torch.nn.Conv2d):\n"
        "    def __init__(self, num_classes: int, in_channels: int = 3):\n"
        "        super().__init__(in_channels, 2, 1)\n",
    )
    outcome = fit("--config", recipe(), "--model.net", "stiff.Net")
    assert outcome.code == 2
    assert "Net gives 2 classes, but the data has 6" in outcome.err


def test_fit__a_lost_loss_stops_the_run_and_says_what_was_seen(fit, recipe):
    outcome = fit("--config", recipe(), "--model.optimizer", "SGD", "--model.optimizer.lr", "1e30")
    assert outcome.code == 1
    assert "the loss was not finite 3 steps in a row" in outcome.err
    assert "learning rate" in outcome.err


# ---- a user's own folder -------------------------------------------------------------------------------------------


def _masks(root, write):
    for index in range(16):
        fabricate.save(root / "images" / f"{index}.png", fabricate.picture(index, 40, 40))
        write(root / "masks" / f"{index}.png", fabricate.ids(index, 40, 40))


@pytest.mark.parametrize(
    ("labels", "write"),
    [
        ("values: {0: background, 255: road}", lambda path, ids: fabricate.save(path, ids * 255)),
        ("values: {0: background, 1: road}", lambda path, ids: fabricate.save_palette(path, ids)),
        (
            "colors: {background: [0, 0, 0], road: [128, 64, 128]}",
            lambda path, ids: fabricate.save(path, np.array([[0, 0, 0], [128, 64, 128]], np.uint8)[ids]),
        ),
    ],
    ids=["0 and 255", "palette", "colours"],
)
def test_own_folder__trains(fit, recipe, tmp_path, labels, write):
    _masks(tmp_path / "mine", write)
    text = FOLDER.format(root=tmp_path / "mine", labels=labels)
    assert len(text.strip().splitlines()) <= 10
    outcome = fit("--config", recipe(text))
    assert outcome.code == 0
    assert {"test/iou/background", "test/iou/road"} <= outcome.metrics.keys()


def _broken(root, name):
    """A folder of masks with one thing wrong, and what the message must say."""
    _masks(root, lambda path, ids: fabricate.save(path, ids))
    mask, image = root / "masks" / "3.png", root / "images" / "3.png"
    ids = fabricate.ids(3, 40, 40)
    if name == "undeclared value":
        fabricate.save(mask, np.where(ids == 1, 7, 0))
    elif name == "0 and 255":
        _masks(root, lambda path, each: fabricate.save(path, each * 255))
    elif name == "counted from 1":
        _masks(root, lambda path, each: fabricate.save(path, each + 1))
    elif name == "colour without colours":
        fabricate.save(mask, np.array([[0, 0, 0], [128, 64, 128]], np.uint8)[ids])
    elif name == "jpeg":
        mask.unlink()
        fabricate.save(mask.with_suffix(".jpg"), ids)
    elif name == "interpolated":
        fabricate.save(mask, np.linspace(0, 255, 1600).reshape(40, 40).astype(np.uint8))
    elif name == "another size":
        fabricate.save(mask, ids[:20])
    elif name == "no mask":
        mask.unlink()
    elif name == "broken mask":
        mask.write_bytes(mask.read_bytes()[:40])
    elif name == "broken image":
        image.write_bytes(b"")
    elif name == "no folder":
        root.rename(root.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("undeclared value", "masks/3.png: "),
        ("0 and 255", "values: {0: background, 255: road}"),
        ("counted from 1", "values: {1: background, 2: road}"),
        ("colour without colours", "colors: "),
        ("jpeg", "JPEG"),
        ("interpolated", "interpolated"),
        ("another size", "masks/3.png: is 40×20, but its image"),
        ("no mask", "3.png"),
        ("broken mask", "masks/3.png"),
        ("broken image", "images/3.png"),
        ("no folder", "mine: "),
    ],
)
def test_own_folder__broken_is_said_before_anything_starts(fit, recipe, tmp_path, name, message):
    _broken(tmp_path / "mine", name)
    outcome = fit("--config", recipe(FOLDER.format(root=tmp_path / "mine", labels="test_fraction: 0.2")))
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) <= 4
    assert not (tmp_path / "runs").exists()


# ---- processes and signals -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_interrupt__keeps_the_last_checkpoint_and_the_metrics(recipe, launch, tmp_path):
    process = launch("--config", recipe(), "--trainer.max_epochs", "10000", "--data.num_workers", "1")
    wait_until(lambda: list(tmp_path.glob("runs/tiny/*/checkpoints/last.ckpt")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    folder = next(tmp_path.glob("runs/tiny/*"))
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert checkpoint["global_step"] >= max(steps)
    assert (folder / "metrics.csv").exists()
    lightseg.load(folder / "checkpoints/last.ckpt")


@pytest.mark.slow
def test_ddp__two_processes_from_the_same_command(recipe, launch, tmp_path):
    process = launch("--config", recipe(), "--trainer.devices", "2", "--trainer.strategy", "ddp")
    out, err = process.communicate()
    assert process.returncode == 0, err
    folders = list(tmp_path.glob("runs/tiny/*"))
    assert len(folders) == 1
    assert out.strip().splitlines()[-1] == f"run: {folders[0]}"
    counts = np.loadtxt(folders[0] / "confusion_test.csv", np.int64, delimiter=",", skiprows=1)
    from lightseg.data import Shapes

    data = Shapes(image_size=32, train_size=12, val_size=5, test_size=5)
    assert (counts.sum(1) == data.class_counts("test")).all()


ENCODERS = [
    *("resnet18", "vgg11_bn", "densenet121", "inceptionv4", "xception", "mobilenet_v2"),
    *("efficientnet-b0", "mit_b0", "tu-convnext_atto", "tu-darknet53"),
]


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoder__is_swapped_by_one_flag(fit, recipe, encoder):
    text = "base: [configs/data/shapes.yaml, configs/net/smp.yaml, configs/debug/smoke.yaml]\n"
    small = "data: {init_args: {train_size: 8, val_size: 4, test_size: 4, batch_size: 4, num_workers: 0}}"
    options = ["--data.image_size", "64", "--model.net.encoder", encoder]
    outcome = fit("--config", recipe(text + small), *options)
    assert outcome.code == 0
    assert "test/score" in outcome.metrics


@pytest.mark.slow
def test_demo_recipe__smokes(fit):
    os.chdir(ROOT)
    outcome = fit("--config", "experiments/shapes/unet.yaml", "--config", "configs/debug/smoke.yaml")
    assert outcome.code == 0
    assert outcome.folder.parent.name == "unet"


@pytest.mark.slow
def test_profile__ends_with_a_table(launch, recipe):
    overlays = [part for name in ("smoke", "profile") for part in ("--config", ROOT / f"configs/debug/{name}.yaml")]
    process = launch("--config", recipe(), *overlays, "--trainer.limit_train_batches", "2")
    err = process.communicate()[1]
    assert process.returncode == 0, err
    assert "FIT Profiler Report" in err
    assert "run_training_batch" in err


@pytest.mark.parametrize("workers", [0, 1])
def test_own_folder__an_image_that_breaks_in_mid_epoch_is_named(fit, recipe, tmp_path, workers):
    root = tmp_path / "mine"
    _masks(root, lambda path, ids: fabricate.save(path, ids))
    for path in (root / "images").iterdir():
        # the header is whole, so it is found only when the image is decoded
        path.write_bytes(path.read_bytes()[:-1500])
    text = FOLDER.format(root=root, labels="test_fraction: 0.2")
    outcome = fit("--config", recipe(text), "--data.num_workers", workers)
    assert outcome.code == 2
    message, hint = outcome.err.strip().splitlines()
    assert "images/" in message
    assert "lightseg.doctor" in hint


def test_fit__one_image_per_process_and_batch_norm(fit, recipe):
    options = ["--model.net", "SmpNet", "--model.net.arch", "deeplabv3plus", "--model.net.encoder", "resnet18"]
    outcome = fit("--config", recipe(), *options, "--data.batch_size", "1", "--data.train_size", "2")
    assert outcome.code == 2
    assert "leaves BatchNorm nothing to average" in outcome.err


def test_fit__fast_dev_run_keeps_nothing(fit, recipe):
    outcome = fit("--config", recipe(), "--trainer.fast_dev_run", "true")
    assert outcome.code == 0
    assert not (outcome.folder / "checkpoints").exists()


def test_fit__full_disk_is_one_message(fit, recipe, monkeypatch):
    import errno

    from lightseg.runs import environment

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(environment, "write_atomically", full)
    outcome = fit("--config", recipe())
    assert outcome.code == 2
    assert "config.yaml: the disk is full" in outcome.err


def test_fit__runs_dir_that_cannot_be_made(capsys, recipe, tmp_path):
    from lightseg.fit import main

    (tmp_path / "file").write_text("")
    assert main(["--config", str(recipe()), "--runs_dir", str(tmp_path / "file")]) == 2
    assert "cannot make" in capsys.readouterr().err


def test_fit__a_limited_test_keeps_only_the_images_that_were_scored(fit, recipe):
    # an evaluation batch is one image here
    outcome = fit(
        "--config", recipe(), "--data.batch_size", "1", "--trainer.max_epochs", "1", "--trainer.limit_test_batches", "3"
    )
    results = PerImageResults.read(outcome.folder, "test")
    assert len(results.images) == 3
    assert results.indices.tolist() == [0, 1, 2]
    truth = Shapes(image_size=32, test_size=5).class_table("test")
    assert (results.dense[:, 1] == truth[:3]).all()
    assert len(PerImageResults.read(outcome.folder, "val").images) == 5


def test_fit__help_among_other_options_prints_the_usage(fit, recipe):
    outcome = fit("--config", recipe(), "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("usage: python -m lightseg.fit --config RECIPE")
