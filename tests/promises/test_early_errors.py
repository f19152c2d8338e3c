"""Errors known before training: one line, exit code 2, and no run folder."""

import re

import pytest

TINY_DATA = """
data: {init_args: {image_size: 32, train_size: 12, val_size: 6, test_size: 6, batch_size: 4, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 1}
"""
WEIGHTS = "model: {init_args: {class_weights: [%s]}}"


def _early_stopping(monitor):
    return ["--trainer.callbacks+=EarlyStopping", f"--trainer.callbacks.monitor={monitor}"]


OPTIONS = {
    "limit_test_batches": (["--trainer.limit_test_batches", "0.1"], "0.1 of the 2 test batches is none"),
    "limit_val_batches": (["--trainer.limit_val_batches", "0.1"], "0.1 of the 2 val batches is none"),
    "limit_train_batches": (["--trainer.limit_train_batches", "0.1"], "or 0.34 or more"),
    "overfit_batches": (["--trainer.overfit_batches", "0.1"], "trainer.overfit_batches: 0.1 of the 3 train batches"),
    "lr negative": (["--model.optimizer.lr", "-1"], "model.optimizer: AdamW(lr=-1.0): Invalid learning rate: -1.0"),
    "lr nan": (["--model.optimizer.lr", ".nan"], "model.optimizer: AdamW(lr=nan): Invalid learning rate: nan"),
    "lr without end": (["--model.optimizer", "SGD", "--model.optimizer.lr", "1e39"], "model.optimizer: "),
    "betas": (["--model.optimizer.betas", "[-1, 2]"], "betas=(-1.0, 2.0)): Invalid beta parameter at index 0"),
    "LBFGS": (["--model.optimizer", "LBFGS"], "LBFGS doesn't support per-parameter options"),
    "Muon": (
        ["--model.optimizer", "torch.optim.Muon"],
        "weights of this net are no matrices (convolutions, norms, biases)",
    ),
    "SparseAdam": (["--model.optimizer", "SparseAdam"], "SparseAdam does not support dense gradients"),
    "ddp_spawn": (["--trainer.strategy", "ddp_spawn"], "trainer.strategy: ddp_spawn trains in spawned or forked"),
    "ddp_notebook": (["--trainer.strategy", "ddp_notebook"], "`python -m lightseg.fit` with ddp, which starts"),
    "monitor": (_early_stopping("val_loss"), "EarlyStopping: nothing is logged as 'val_loss'; did you mean val/loss?"),
    "save_top_k": (
        ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_top_k=2"],
        "trainer.callbacks: ModelCheckpoint(save_top_k=2): ",
    ),
    "LearningRateFinder": (["--trainer.callbacks+=LearningRateFinder"], "LearningRateFinder: the rate of a short"),
    "BatchSizeFinder": (["--trainer.callbacks+=BatchSizeFinder"], "BatchSizeFinder: the batch is the recipe's"),
    "EMA decay": (["--trainer.callbacks+=EMA", "--trainer.callbacks.decay=2"], "trainer.callbacks: EMA(decay=2.0): "),
    "max_time": (["--trainer.max_time", "00:00:00:00"], "trainer.max_time: 0 leaves nothing to train"),
    "mean nan": (["--model.mean", "[.nan, 0, 0]"], "model.mean: must be finite numbers, got [nan, 0.0, 0.0]"),
    "width without end": (["--model.net.width", "9" * 20], "Overflow when unpacking long long\n"),
    "empty model": (["--model", ""], "model: the value is empty; give one"),
    "empty seed": (["--seed_everything="], "seed_everything: the value is empty; give one"),
    "empty callback": (["--trainer.callbacks+=", "x"], "trainer.callbacks: the value is empty"),
    "trainer": (["--trainer", "5"], "trainer: must hold options (key: value), got 5"),
    "tag": (["--trainer.max_epochs", "!!bool x"], "!!bool x: the value does not fit its tag"),
    "tag of an option": (["--trainer.max_epochs=!!bool x"], "the value does not fit its tag"),
    "root null": (
        ["--data", "MaskFolder", "--data.root", "null", "--data.classes", "[a, b]"],
        "data.root: null is not a folder",
    ),
    "channels": (
        ["--data.train_transforms", "[{class_path: albumentations.ToGray, init_args: {num_output_channels: 1, p: 1}}]"],
        "data.train_transforms: they turn images of [32, 32, 3] (height, width, channels) into [32, 32]",
    ),
    "seed": (["--seed_everything", "99999999999"], "give a whole number from 0 to 4294967295"),
    "CosineAnnealingLR": (
        ["--model.schedule", "torch.optim.lr_scheduler.CosineAnnealingLR"],
        "model.schedule: an option of CosineAnnealingLR is missing, unknown or of another type; it needs T_max",
    ),
    "ReduceLROnPlateau": (
        ["--model.schedule", "torch.optim.lr_scheduler.ReduceLROnPlateau", "--model.schedule.factor", "1.5"],
        "model.schedule: ReduceLROnPlateau(factor=1.5",
    ),
    "max_epochs 0": (["--trainer.max_epochs", "0"], "trainer.max_epochs: 0 leaves nothing to train"),
    "max_epochs -1": (["--trainer.max_epochs", "-1"], "give trainer.max_steps too"),
    "never validated": (
        ["--trainer.val_check_interval", "100", "--trainer.check_val_every_n_epoch", "null"],
        "trainer.val_check_interval: 100 batches, but the training has 6, so it would never validate",
    ),
    "gradient_clip_val": (["--trainer.gradient_clip_val", ".nan"], "must be a finite number, 0 or more, got nan"),
    "accelerator tpu": (["--trainer.accelerator", "tpu"], "pip install torch_xla"),
    "num_workers": (["--data.num_workers", "1000000"], "data.num_workers: must be 0 to 256 processes, got 1000000"),
    "nested misspelt": (["--model.optimzer.lr", "1"], "model: no option 'optimzer'; did you mean optimizer?"),
    "nested guessed": (["--trainer.lr", "1"], "trainer: no option 'lr'; did you mean --model.optimizer.lr?"),
}


@pytest.mark.parametrize("row", OPTIONS)
def test_option__is_refused_before_the_run_folder(fit, recipe, tmp_path, row):
    arguments, message = OPTIONS[row]
    _is_refused(fit("--config", recipe(), *arguments), message, tmp_path)


FILES = {
    "trainer null": ("trainer: null", "trainer: must hold options (key: value), got null"),
    "trainer list": ("trainer: [1]", "trainer: must hold options (key: value), got [1]"),
    "empty section": ("modell: {}", "no option 'modell'; did you mean model?"),
    "empty section within": ("model: {init_args: {nett: {}}}", "model: no option 'nett'; did you mean net?"),
    "weights denormal": (WEIGHTS % ", ".join(["1.0e-45"] * 6), "model.class_weights: must be 0, or between 1e-06"),
    "weights huge": (WEIGHTS % ", ".join(["1.0e+38"] * 6), "got 1e+38"),
    "loss huge": ("model: {init_args: {loss: {ce: 1.0e+300}}}", "model.loss.ce: the coefficient must be between"),
    "loss number": ("model: {init_args: {loss: {1: 1}}}", "model.loss: there is no loss 1"),
    "loss null": ("model: {init_args: {loss: null}}", "model.loss: null is not a value of it"),
    "p: 7": (
        "data: {init_args: {train_transforms: [{class_path: albumentations.HorizontalFlip, init_args: {p: 7}}]}}",
        "data.train_transforms: HorizontalFlip(p=7): p: Input should be less than or equal to 1",
    ),
    "crop larger than the image": (
        "data: {init_args: {train_transforms: "
        "[{class_path: albumentations.RandomCrop, init_args: {height: 99, width: 99}}]}}",
        "data.train_transforms: RandomCrop: Crop size (height, width) exceeds image dimensions",
    ),
    "cache_gb null": ("data: {init_args: {cache_gb: null}}", "data.cache_gb: None is not a size"),
    "objects null": ("data: {init_args: {objects: null}}", "data.objects: null is not a value of it"),
    "net Linear": ("model: {init_args: {net: {class_path: torch.nn.Linear}}}", "torch.nn.Linear is not a Net"),
    "net Linear with sizes": (
        "model: {init_args: {net: {class_path: torch.nn.Linear, init_args: {in_features: 3, out_features: 6}}}}",
        "model.net: Linear cannot take images of [3, 32, 32]: ",
    ),
    "optimizer eval": (
        "model: {init_args: {optimizer: {class_path: builtins.eval}}}",
        "model.optimizer: builtins.eval ",
    ),
    "dict_kwargs": (
        "model: {init_args: {net: {class_path: UNet, dict_kwargs: {foo: 1}}}}",
        "got an unexpected keyword argument 'foo'",
    ),
    "UNet depth 40": ("model: {init_args: {net: {init_args: {depth: 40}}}}", "model.net.depth: 40 would need images"),
    "UNet width 1e6": ("model: {init_args: {net: {init_args: {width: 1000000}}}}", "GiB, but this machine has"),
    "train_size 1e12": ("data: {init_args: {train_size: 1000000000000}}", "GiB, but this machine has"),
    "size 1e30": ("data: {init_args: {image_size: 1.0e+30}}", "data.image_size: 1e+30 is not a whole number"),
    "seed null": ("seed_everything: null", "seed_everything: None is not a seed"),
    "resume empty": ("resume: ''", "resume: the value is empty"),
    "tag": ("name: !!bool abc", "overlay.yaml line 1: this is not a bool"),
    "deep list": (f"trainer: {{callbacks: {'[' * 3000}{']' * 3000}}}", "nested deeper than 50 levels"),
}


@pytest.mark.parametrize("row", FILES)
def test_file__is_refused_before_the_run_folder(fit, recipe, tmp_path, row):
    text, message = FILES[row]
    _is_refused(fit("--config", recipe(), "--config", recipe(text, "overlay.yaml")), message, tmp_path)


def _is_refused(outcome, message, tmp_path):
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("lightseg: error: ")
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_logger__whose_package_is_missing_names_it(fit, recipe, tmp_path, monkeypatch):
    # whether it is installed or not
    monkeypatch.setattr("lightning.pytorch.loggers.tensorboard._TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr("lightning.fabric.loggers.tensorboard._TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr("lightning.fabric.loggers.tensorboard._TENSORBOARDX_AVAILABLE", False)
    arguments = ["--trainer.logger", "TensorBoardLogger", "--trainer.logger.save_dir", str(tmp_path / "logs")]
    _is_refused(fit("--config", recipe(), *arguments), "trainer.logger: TensorBoardLogger(", tmp_path)


def test_callbacks__of_two_overlays_are_not_dropped_in_silence(fit, recipe):
    overlays = [
        recipe("trainer: {callbacks: [{class_path: EMA}]}", "ema.yaml"),
        recipe("trainer: {max_epochs: 0, callbacks: [{class_path: lightseg.callbacks.Lookahead}]}", "late.yaml"),
    ]
    outcome = fit("--config", recipe(), *(word for file in overlays for word in ("--config", file)))
    assert outcome.code == 2
    (line,) = [line for line in outcome.err.splitlines() if "replaces" in line]
    assert re.search(r"late\.yaml: trainer\.callbacks replaces EMA of the files before; write `callbacks\+:`", line)


def test_start__that_fails_in_a_users_class_keeps_the_traceback_and_leaves_no_folder(recipe, tmp_path, own_module):
    from lightseg.fit import main

    own_module(
        "late",
        "import lightning as L\n"
        "class Late(L.Callback):\n"
        "    def on_fit_start(self, trainer, task):\n"
        "        raise KeyError('my own mistake')\n",
    )
    arguments = ["--trainer.callbacks+=late.Late", "--runs_dir", str(tmp_path / "runs")]
    with pytest.raises(KeyError, match="my own mistake"):
        main(["--config", str(recipe()), *arguments])
    assert not (tmp_path / "runs").exists()


def test_loss__that_is_not_finite_in_the_end_fails_the_run(fit, recipe, own_module):
    own_module(
        "huge",
        "from lightseg.nets import UNet\n"
        "class Huge(UNet):\n"
        "    def forward(self, x):\n"
        "        logits = super().forward(x)\n"
        "        return logits if self.training else logits * float('inf')\n",
    )
    net = ["--model.net", "huge.Huge", "--model.net.width", "4", "--model.net.depth", "2"]
    outcome = fit("--config", recipe(), *net, "--trainer.max_epochs", "1")
    assert outcome.code == 1
    assert "val/loss is nan with the best checkpoint" in outcome.err


def test_net__of_a_library_that_asserts_its_size_is_refused(fit, recipe, tmp_path):
    text = "base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]\n" + TINY_DATA
    arguments = ["--model.net", "TimmNet", "--model.net.encoder", "mixer_s32_224"]
    outcome = fit("--config", recipe(text), *arguments)
    _is_refused(outcome, "model.net: TimmNet cannot take images of [3, 32, 32]: ", tmp_path)
