"""The command line: every mistake in a line or two, and every way to compose a recipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.fit import main
from tests.conftest import ROOT

SWEEPS = ROOT / "experiments/sweeps"
RECIPES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "experiments").rglob("*.yaml") if path.parent != SWEEPS
)
OVERLAYS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml"))
SHAPES = "base: [configs/data/shapes.yaml, configs/net/unet.yaml]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.net.widht", "8"], "model.net: no option 'widht'; did you mean width?"),
        (["--model.lss", "dice"], "model: no option 'lss'; did you mean loss?"),
        (["--modle.loss", "dice"], "no option 'modle'; did you mean model?"),
        (["--trainer.max_epoch", "3"], "trainer: no option 'max_epoch'; did you mean max_epochs?"),
        (["--data.batchsize", "8"], "data: no option 'batchsize'; did you mean batch_size?"),
        (["--model.optimizer.lrr", "1"], "model.optimizer: no option 'lrr'; did you mean lr?"),
        (["--data.batch_size", "many"], "data.batch_size: many is not a whole number"),
        (["--model.optimizer.lr", "fast"], "model.optimizer.lr: fast is not a number"),
        (["--model.net", "UNett"], "model.net: no class 'UNett'; did you mean UNet?"),
        (["--model.net.norm", "btch"], "model.net.norm: btch is not one of 'batch', 'instance'"),
        (["--model.optimizer", "Adamm"], "model.optimizer: no class 'Adamm'; did you mean Adam?"),
        (["--data", "Shape"], "data: no class 'Shape'; did you mean Shapes?"),
        (["--model.net", "my_net.MyNet"], "model.net: my_net.MyNet: No module named 'my_net'"),
        (["--trainer.logger.mode", "online"], "trainer.logger.mode: belongs to a class that is not known yet"),
        (["--model.class_weights", "invers"], "model.class_weights: invers is not one of"),
        (["--model.loss", "dise"], "did you mean dice?"),
        (["--model.net.num_classes", "3"], "model.net.num_classes: 3, but the data has 6; leave it out"),
        (["--data.seed", "3"], "data: no option 'seed'"),
        (["--seed_everything", "-1"], "seed_everything: -1 is not a seed"),
        (["--seed_everything", "true"], "seed_everything: True is not a seed"),
        (["--trainer.check_val_every_n_epoch", "5"], "check_val_every_n_epoch: 5, but there are only 2 epochs"),
        (["--trainer.limit_val_batches", "0"], "leaves nothing to choose the best checkpoint by"),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/score"],
            "EarlyStopping: val/score is better high; set mode: max",
        ),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/miuo"],
            "EarlyStopping: nothing is logged as 'val/miuo'; did you mean val/miou?",
        ),
        (["--data.batch_size", "13"], "12 training samples do not fill one batch"),
        (["--model.mean", "[123.0, 116.0, 103.0]", "--model.std", "[58.0, 57.0, 57.0]"], "model.mean: 0..1 scale"),
        (["--model.net.in_channels", "4"], "model.net.in_channels: 4, but the data has 3"),
        (["--model.classes", "[a, b]"], "model.classes: differ from the data's"),
        (["--trainer.precision", "16-mixed"], "trainer.precision: 16-mixed needs a GPU; on a CPU use auto, bf16-mixed"),
        (["--trainer.callbacks+=EarlyStoping"], "trainer.callbacks: no class 'EarlyStoping'; did you mean EarlyStop"),
        (["--data.batch_size", "7", "--trainer.accumulate_grad_batches", "2"], "the nearest that can: 6 or 8"),
        (["--data.batch_size", "0"], "data.batch_size: 0 is not a number of samples"),
        (["--model.freeze_encoder", "0.5"], "model.freeze_encoder: UNet has no encoder"),
        (["--model.net", "TimmNet", "--model.net.encoder", "resnet81"], "timm has no encoder 'resnet81'"),
        (["--model.net", "TimmNet", "--model.net.encoder", "resnet10t"], "TimmNet says one class per image"),
        (["--data", "ShapesClassification"], "SegmentationTask cannot learn from ShapesClassification"),
        (["--config", "experiments/nope.yaml"], "--config experiments/nope.yaml: no such file"),
        (["extra"], "'extra' belongs to no option"),
        (["--save_every_n_steps", "0"], "save_every_n_steps: must be > 0, got 0"),
        (["--save_every_minutes", "-1"], "save_every_minutes: must be > 0, got -1.0"),
    ],
)
def test_error__names_the_key_and_the_fix(fit, recipe, tmp_path, arguments, message):
    outcome = fit("--config", recipe(), *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("lightseg: error: ")
    assert len(outcome.err.strip().splitlines()) <= 3
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SHAPES + "model: {init_args: {net: {init_args: {widht: 3}}}}", "model.net: no option 'widht'; did you mean w"),
        (SHAPES + "modell: {init_args: {loss: ce}}", "no option 'modell'; did you mean model?"),
        (SHAPES + "trainer: {max_epoch: 3}", "trainer: no option 'max_epoch'; did you mean max_epochs?"),
        (SHAPES + "data: {init_args: {batch_size: big}}", "data.batch_size: big is not a whole number"),
        (SHAPES + "model: {init_args: {net: {class_path: UNett}}}", "model.net: no class 'UNett'; did you mean UNet?"),
        (
            SHAPES + "data: {init_args: {train_transforms: [{class_path: albumentations.HorizontalFlop}]}}",
            "has no attribute 'HorizontalFlop'; did you mean HorizontalFlip?",
        ),
        (
            SHAPES + "data: {init_args: {train_transforms: "
            "[{class_path: albumentations.Resize, init_args: {hight: 3, width: 3}}]}}",
            "data.train_transforms: no option 'hight'; did you mean height?",
        ),
    ],
)
def test_error__names_the_file(fit, recipe, text, message):
    path = recipe(text, "broken.yaml")
    outcome = fit("--config", path)
    assert outcome.code == 2
    assert f"{path}: " in outcome.err
    assert message in outcome.err


def test_error__missing_data_lists_the_blocks(fit, recipe):
    outcome = fit("--config", recipe("base: [configs/net/unet.yaml]"))
    assert outcome.code == 2
    assert (
        "data: not given\navailable in configs/data: camvid, cifar10, image_folder, image_table, mask_folder"
        in outcome.err
    )


def test_error__abbreviations_are_refused(fit, recipe):
    assert fit("--config", recipe(), "--trainer.max_ep", "3").code == 2


def test_error__exception_of_a_users_class_keeps_its_type_and_traceback(recipe, tmp_path, own_module):
    own_module(
        "stubborn",
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_classes, in_channels=3):\n"
        "        raise KeyError('my own mistake')\n",
    )
    with pytest.raises(KeyError, match="my own mistake") as caught:
        main(["--config", str(recipe()), "--model.net", "stubborn.Net"])
    assert caught.traceback[-1].path == tmp_path / "stubborn.py"


def test_help__is_quick_and_imports_nothing_heavy():
    code = "import sys, lightseg.fit as f; f.main(['--help']); assert 'torch' not in sys.modules"
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    after = os.times()
    assert "--model.net.encoder" in done.stdout
    # of the processor: other work on the machine is no fault of the verb
    assert after.children_user + after.children_system - before.children_user - before.children_system < 5


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


@pytest.mark.parametrize("path", OVERLAYS)
def test_block__applies_to_a_recipe(path, monkeypatch, recipe):
    monkeypatch.chdir(ROOT)
    base = {
        "net": SHAPES if path.split("/")[-1] in ("unet.yaml", "fcn.yaml", "smp.yaml") else None,
        "data": "base: [configs/net/unet.yaml]\n",
    }.get(path.split("/")[1], SHAPES)
    if base is None or any(name in path for name in ("cifar", "classification", "data/image_")):
        base = "base: [configs/data/shapes_classification.yaml, configs/net/timm.yaml]\n"
    if path == "configs/hardware/gpu.yaml":
        # asking for a GPU where there is none is refused when the trainer is made, not when the recipe is read
        assert yaml.safe_load(Path(path).read_text())["trainer"]["accelerator"] == "gpu"
    # their classes are those of the folder, if not declared
    classes = ["--data.classes", "[cat, dog]"] if "data/image_" in path else []
    cli = LightsegCLI(["--config", str(recipe(base, "base.yaml")), "--config", path, *classes])
    assert cli.model.kind == cli.datamodule.kind


def test_net__is_swapped_by_one_flag(recipe):
    cli = LightsegCLI(["--config", str(recipe()), "--model.net", "FCN", "--model.net.encoder", "resnet10t"])
    assert type(cli.model.net).__name__ == "FCN"
    assert cli.model.net(__import__("torch").zeros(1, 3, 64, 64)).shape == (1, 6, 64, 64)


def test_net__is_swapped_by_a_block_on_the_command_line(recipe):
    cli = LightsegCLI(["--config", str(recipe()), "--config", "configs/net/fcn.yaml"])
    assert type(cli.model.net).__name__ == "FCN"


def test_net__is_swapped_by_one_line_of_yaml(recipe):
    text = SHAPES + "model: {init_args: {net: {class_path: SmpNet, init_args: {encoder: resnet18}}}}"
    cli = LightsegCLI(["--config", str(recipe(text))])
    assert type(cli.model.net).__name__ == "SmpNet"


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


def test_composition__later_files_and_flags_win(recipe):
    first = recipe(SHAPES + "model: {init_args: {net: {init_args: {width: 6}}}}", "first.yaml")
    second = recipe("model: {init_args: {net: {init_args: {width: 8}}}}", "second.yaml")
    both = ["--config", str(first), "--config", str(second)]
    assert LightsegCLI(both).config.model.init_args.net.init_args.width == 8
    assert LightsegCLI([*both, "--model.net.width", "10"]).config.model.init_args.net.init_args.width == 10


def test_name__is_the_recipes_and_not_the_overlays(recipe):
    overlay = recipe("trainer: {max_epochs: 1}", "overlay.yaml")
    assert LightsegCLI(["--config", str(recipe()), "--config", str(overlay)]).config.name == "tiny"


def test_epochs__are_fifty_where_nothing_is_said(recipe):
    assert LightsegCLI(["--config", str(recipe(SHAPES))]).config.trainer.max_epochs == 50
    assert LightsegCLI(["--config", str(recipe(SHAPES)), "--trainer.max_steps", "9"]).config.trainer.max_epochs is None


def test_composition__an_option_before_the_file_that_names_its_class(fit, recipe):
    outcome = fit("--model.net.width", "10", "--config", recipe())
    assert outcome.code == 2
    assert "model.net.width: belongs to a class that is not known yet" in outcome.err


def test_composition__one_key_on_top_of_a_block_in_the_same_file(recipe):
    text = SHAPES + "model: {init_args: {loss: dice}}"
    init_args = LightsegCLI(["--config", str(recipe(text))]).config.model.init_args
    assert (init_args.loss, init_args.net.class_path) == ("dice", "lightseg.nets.UNet")


@pytest.mark.parametrize(
    ("swap", "expected"),
    [
        (["--model.optimizer", "Adam"], {"weight_decay": 0}),
        (["--model.optimizer", "SGD", "--model.optimizer.lr", "0.5"], {"weight_decay": 0, "lr": 0.5}),
    ],
)
def test_composition__no_default_of_one_class_reaches_another(recipe, swap, expected):
    cli = LightsegCLI(["--config", str(recipe(SHAPES)), *swap])
    options = cli.config.model.init_args.optimizer.init_args
    assert {name: options[name] for name in expected} == expected


def test_composition__a_swapped_schedule_has_its_own_defaults(recipe):
    cli = LightsegCLI(["--config", str(recipe(SHAPES)), "--model.schedule", "OneCycle"])
    assert cli.config.model.init_args.schedule.init_args.final == 1e-4
    cli = LightsegCLI(["--config", str(recipe(SHAPES)), "--model.schedule", "Constant"])
    assert cli.config.model.init_args.schedule.init_args.warmup == 0


def test_composition__null_on_the_command_line_is_nothing(recipe):
    text = "base: [configs/data/shapes.yaml, configs/net/fcn.yaml]"
    cli = LightsegCLI(["--config", str(recipe(text)), "--model.net.encoder", "null"])
    assert cli.config.model.init_args.net.init_args.encoder is None


@pytest.mark.parametrize("module", [["lightseg.fit"], ["lightseg", "fit"]])
def test_module__is_loaded_once_and_without_a_warning(module):
    command = [sys.executable, "-W", "error", "-m", *module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.startswith("usage: python -m lightseg.fit")
    assert done.stderr == ""


def test_verb__misspelt():
    done = subprocess.run([sys.executable, "-m", "lightseg", "fitt"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "lightseg: error: no verb 'fitt'; did you mean fit?\n"


def test_package__load_is_there_without_importing_torch_first():
    code = "import sys, lightseg; assert 'torch' not in sys.modules; assert callable(lightseg.load)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


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
    ("callback", "message"),
    [
        ("GradientAccumulationScheduler, init_args: {scheduling: {0: 2}}", "trainer.accumulate_grad_batches says"),
        ("StochasticWeightAveraging, init_args: {swa_lrs: 0.1}", "take lightseg.callbacks.EMA"),
        ("BackboneFinetuning", "take model.freeze_encoder"),
        ("ModelCheckpoint, init_args: {save_last: true}", "leave save_last out"),
    ],
)
def test_callback__that_would_break_a_promise_is_refused(fit, recipe, tmp_path, callback, message):
    outcome = fit("--config", recipe(), "--trainer.callbacks", f"[{{class_path: {callback}}}]")
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


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


@pytest.mark.parametrize("callback", ["EMA", "Lookahead"])
def test_callback__that_averages_refuses_a_shared_net(fit, recipe, callback):
    options = ["--config", ROOT / "configs/hardware/fsdp.yaml", "--trainer.devices", "1"]
    outcome = fit("--config", recipe(), *options, "--trainer.callbacks", f"[{{class_path: {callback}}}]")
    assert outcome.code == 2
    assert f"{callback} cannot average a net that is shared between devices: take strategy ddp" in outcome.err


def test_callback__a_checkpoint_of_the_same_score_goes_beside_our_own(fit, recipe):
    own = "[{class_path: ModelCheckpoint, init_args: {monitor: val/score, mode: max, save_top_k: 2}}]"
    outcome = fit("--config", recipe(), "--trainer.callbacks", own)
    assert outcome.code == 0
    assert len(list(outcome.folder.glob("checkpoints/epoch=*.ckpt"))) == 2


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
