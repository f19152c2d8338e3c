"""Every recipe and block of the repository, resolved configs, and checks of callbacks and trainer options."""

import json
from pathlib import Path

import pytest
import yaml

from lightseg.cli.lightning_cli import LightsegCLI
from tests.conftest import ROOT

SWEEPS = ROOT / "experiments/sweeps"
RECIPES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "experiments").rglob("*.yaml") if path.parent != SWEEPS
)
OVERLAYS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml"))
SHAPES = "base: [configs/data/shapes.yaml, configs/net/unet.yaml]\n"


def test_print_config__is_the_composed_recipe(recipe, capsys):
    with pytest.raises(SystemExit) as stop:
        LightsegCLI(["--config", str(recipe()), "--model.net.width", "6", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert stop.value.code == 0
    assert config["model"]["init_args"]["net"]["init_args"]["width"] == 6
    assert config["data"]["class_path"] == "lightseg.data.Shapes"


@pytest.mark.parametrize("path", RECIPES)
def test_recipe__parses_and_builds(path, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    # weights by name would be fetched
    weights = ["--model.net.encoder_weights", "null"] if "encoder_weights" in Path(path).read_text() else []
    cli = LightsegCLI(["--config", path, *weights])
    resolved = cli.resolved_config()
    (tmp_path / "config.yaml").write_text(resolved)
    assert LightsegCLI(["--config", str(tmp_path / "config.yaml")]).resolved_config() == resolved


def test_resolved_config__a_null_stays_a_null(recipe, tmp_path, own_module):
    own_module("active", ACTIVE)
    options = ["--model.net", "active.Active", "--model.net.act", "null"]
    steps = ["--trainer.check_val_every_n_epoch", "null", "--trainer.max_epochs", "null", "--trainer.max_steps", "5"]
    resolved = LightsegCLI(["--config", str(recipe()), *options, *steps]).resolved_config()
    (tmp_path / "config.yaml").write_text(resolved)
    again = LightsegCLI(["--config", str(tmp_path / "config.yaml")])
    assert again.resolved_config() == resolved
    assert again.model.net.act is None
    assert again.config_init.trainer.check_val_every_n_epoch is None


ACTIVE = """
from torch import nn

class Active(nn.Conv2d):
    def __init__(self, num_classes: int, in_channels: int = 3, act: str | None = "relu"):
        super().__init__(in_channels, num_classes, 1)
        self.act = act
"""


def _base(path):
    """Return a recipe that a block fits, whose net and data are of its kind."""
    folder, name = path.split("/")[1], Path(path).stem
    if folder not in ("net", "data"):
        return SHAPES
    if "labels" in name:
        data, net = "shapes_labels", "timm_labels"
    elif "multilabel" in name:
        data, net = "shapes_multilabel", "unet_multilabel"
    elif (folder == "net" and name not in ("unet", "fcn", "segmenter", "smp")) or any(
        word in name for word in ("cifar", "classification", "image_folder", "image_table")
    ):
        data, net = "shapes_classification", "timm"
    else:
        data, net = "shapes", "unet"
    blocks = [f"configs/net/{net}.yaml", *([f"configs/data/{data}.yaml"] if folder == "net" else [])]
    return f"base: [{', '.join(blocks)}]\n"


@pytest.mark.parametrize("path", OVERLAYS)
def test_block__applies_to_a_recipe(path, monkeypatch, recipe):
    monkeypatch.chdir(ROOT)
    base = _base(path)
    if path == "configs/hardware/gpu.yaml":
        # asking for a GPU where there is none is refused when the trainer is made, not when the recipe is read
        assert yaml.safe_load(Path(path).read_text())["trainer"]["accelerator"] == "gpu"
    # their classes are those of the files, if not declared
    reads_classes = any(name in path for name in ("image_folder", "image_table", "annotated_images"))
    classes = ["--data.classes", "[background, cat]"] if reads_classes else []
    cli = LightsegCLI(["--config", str(recipe(base, "base.yaml")), "--config", path, *classes])
    assert cli.model.kind == cli.datamodule.kind


def test_net__outside_the_package_needs_no_base_class(fit, recipe, own_module):
    own_module(
        "mine",
        "from torch import nn\n"
        "class Mine(nn.Conv2d):\n"
        "    def __init__(self, num_classes: int, in_channels: int = 3):\n"
        "        super().__init__(in_channels, num_classes, 1)\n",
    )
    outcome = fit("--config", recipe(), "--model.net", "mine.Mine")
    assert outcome.code == 0


def test_name__is_the_recipes_and_not_the_overlays(recipe):
    overlay = recipe("trainer: {max_epochs: 1}", "overlay.yaml")
    assert LightsegCLI(["--config", str(recipe()), "--config", str(overlay)]).config.name == "tiny"


def test_epochs__are_fifty_where_nothing_is_said(recipe):
    assert LightsegCLI(["--config", str(recipe(SHAPES))]).config.trainer.max_epochs == 50
    assert LightsegCLI(["--config", str(recipe(SHAPES)), "--trainer.max_steps", "9"]).config.trainer.max_epochs is None


def test_net__of_ones_own_may_leave_out_its_types(fit, recipe, own_module):
    own_module(
        "untyped",
        "from torch import nn\n"
        "class Net(nn.Conv2d):\n"
        "    def __init__(self, num_classes, in_channels=3):\n"
        "        super().__init__(in_channels, num_classes, 1)\n",
    )
    assert fit("--config", recipe(), "--model.net", "untyped.Net").code == 0


def test_data__make_dataset_must_give_a_dataset(fit, recipe, own_module):
    own_module(
        "plain",
        "from lightseg.data import ImageDataModule\n"
        "class Data(ImageDataModule):\n"
        "    classes = ['a', 'b']\n"
        "    def make_dataset(self, split):\n"
        "        return []\n",
    )
    outcome = fit("--config", recipe(), "--data", "plain.Data")
    assert outcome.code == 2
    assert "Data.make_dataset: must return a lightseg.data.ImageDataset, got list" in outcome.err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{class_path: RandomTranslate, init_args: {pixel: 2}}", "data.device_transforms: no option 'pixel'"),
        ("{class_path: AlternatingFlipp}", "no class 'AlternatingFlipp'; did you mean AlternatingFlip?"),
    ],
)
def test_error__in_a_list_that_a_recipe_has_already(fit, entry, message):
    outcome = fit("--config", ROOT / "experiments/cifar10/fast.yaml", "--data.device_transforms", f"[{entry}]")
    assert outcome.code == 2
    assert message in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.val_check_interval", "100"], "trainer.val_check_interval:"),
        (["--trainer.limit_train_batches", "3", "--trainer.accumulate_grad_batches", "2"], "no whole number of steps"),
    ],
)
def test_error__found_when_the_length_is_known(fit, recipe, options, message):
    outcome = fit("--config", recipe(), *options)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert message in outcome.err


def test_limit_val_batches__one_batch_is_not_all_of_them(fit, recipe):
    assert fit("--config", recipe(), "--trainer.limit_val_batches", "1").code == 0


@pytest.mark.parametrize(
    "option", ["model.optimizer", "model.schedule", "model.net", "model.loss", "trainer.callbacks+", "trainer.logger"]
)
@pytest.mark.parametrize("source", ["command line", "recipe"])
def test_class__what_is_none_is_not_called(fit, recipe, monkeypatch, tmp_path, option, source):
    monkeypatch.chdir(tmp_path)
    value = {"class_path": "os.system", "init_args": {"command": "touch PWNED"}}
    if source == "recipe":
        section, key = option.rstrip("+").split(".")
        value = [value] if option.endswith("+") else value
        content = {section: {"init_args": {key: value}} if section == "model" else {key: value}}
        (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(content))
        outcome = fit("--config", recipe(), "--config", tmp_path / "overlay.yaml")
    else:
        outcome = fit("--config", recipe(), f"--{option}", json.dumps(value))
    assert outcome.code == 2
    assert option.rstrip("+") in outcome.err
    assert not list(tmp_path.rglob("PWNED"))
