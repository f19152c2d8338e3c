"""Messages of mistakes on the command line and in recipes."""

import pytest

from lightseg.fit import main

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
        (["--trainer.precision", "16-mixed"], "trainer.precision: 16-mixed needs a GPU, and "),
        (["--trainer.callbacks+=EarlyStoping"], "trainer.callbacks: no class 'EarlyStoping'; did you mean EarlyStop"),
        (["--data.batch_size", "7", "--trainer.accumulate_grad_batches", "2"], "the nearest that can: 6 or 8"),
        (["--data.batch_size", "0"], "data.batch_size: 0 is not a number of samples"),
        (["--model.freeze_encoder", "0.5"], "model.freeze_encoder: UNet has no encoder"),
        (["--model.net", "TimmNet", "--model.net.encoder", "resnet81"], "timm has no encoder 'resnet81'"),
        (["--model.net", "TimmNet", "--model.net.encoder", "resnet10t"], "TimmNet gives one class for each image"),
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
        "data: not given\navailable in configs/data: annotated_images, annotated_images_classification, "
        "annotated_images_labels, camvid" in outcome.err
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
