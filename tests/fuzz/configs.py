"""Recipes with one to three mistakes, given to `fit`."""

import copy
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.fuzz.case import Case
from tests.fuzz.odd import CODE, at, misspell, odd, places, put

BASE: dict[str, Any] = {
    "base": [str(ROOT / "configs/data/shapes.yaml"), str(ROOT / "configs/net/unet.yaml")],
    "seed_everything": 1,
    "model": {
        "init_args": {
            "net": {"init_args": {"width": 4, "depth": 2, "norm": "batch"}},
            "loss": {"ce": 1.0, "dice": {"weight": 0.5}},
            "class_weights": "inverse",
            "class_weights_from": 0.1,
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3, "weight_decay": 0.01}},
            "schedule": {"class_path": "WarmupCosine", "init_args": {"warmup": 0.1}},
            "mean": [0.5, 0.5, 0.5],
            "std": [0.2, 0.2, 0.2],
        }
    },
    "data": {
        "init_args": {
            "image_size": 32,
            "train_size": 8,
            "val_size": 2,
            "test_size": 2,
            "batch_size": 4,
            "num_workers": 0,
            "sampling": "square_root",
            "copy_paste": 0.1,
            "cache_gb": 0.0,
            "folds": 2,
            "fold": 0,
            "train_transforms": [
                {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": 0.5}},
                {"class_path": "albumentations.RandomCrop", "init_args": {"height": 32, "width": 32}},
            ],
        }
    },
    "trainer": {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "log_every_n_steps": 1,
        "precision": "32-true",
        "accumulate_grad_batches": 1,
        "gradient_clip_val": 1.0,
        "limit_val_batches": 1.0,
        "val_check_interval": 1.0,
        "callbacks": [{"class_path": "lightseg.callbacks.EMA", "init_args": {"decay": 0.9}}],
    },
}

_DEEP = "a list in a list in a list"
"""Stands for thousands of them."""

_ENDLESS = {"max_epochs", "max_steps", "devices", "num_nodes", "num_workers", "max_time", "warmup"}
"""Options of which a large number is meant, and takes its time."""

_NEEDED = {"train_size", "val_size", "test_size", "max_epochs", "init_args", "data", "trainer"}
"""Without these, a training is of its usual length."""

_OPTIONS = {
    "trainer": (
        *("strategy", "num_nodes", "fast_dev_run", "max_steps", "min_epochs", "min_steps", "max_time", "profiler"),
        *("limit_train_batches", "limit_test_batches", "overfit_batches", "check_val_every_n_epoch", "deterministic"),
        *("num_sanity_val_steps", "gradient_clip_algorithm", "benchmark", "inference_mode", "use_distributed_sampler"),
        *("detect_anomaly", "barebones", "plugins", "sync_batchnorm", "reload_dataloaders_every_n_epochs", "logger"),
    ),
    "model": (
        *("logit_adjustment", "prior_bias", "encoder_lr_factor", "freeze_encoder", "norm_bias_lr_factor", "compile"),
        "channels_last",
    ),
    "data": ("root", "repeat_threshold", "rare_classes", "rare_transforms", "eval_transforms", "on_device"),
}

_CLASSES = {
    "optimizer": (
        "torch.optim.SGD",
        "torch.optim.LBFGS",
        "torch.optim.Muon",
        "torch.optim.Rprop",
        "torch.optim.SparseAdam",
    ),
    "schedule": ("Constant", "torch.optim.lr_scheduler.ReduceLROnPlateau", "lightseg.optim.Schedule"),
    "net": (
        "SmpNet",
        "Segmenter",
        "FCN",
        "TimmNet",
        "SimpleCNN",
        "TorchvisionNet",
        "torch.nn.Conv2d",
        "lightseg.nets.Net",
    ),
    "callbacks": (
        *("EarlyStopping", "ModelCheckpoint", "LearningRateFinder", "BatchSizeFinder", "StochasticWeightAveraging"),
        *("LearningRateMonitor", "Timer", "lightning.pytorch.callbacks.Callback", "GradientAccumulationScheduler"),
    ),
    "transforms": (
        "albumentations.Resize",
        "albumentations.HueSaturationValue",
        "albumentations.Lambda",
        "albumentations.Compose",
    ),
}


def prepare(base: Path) -> None:
    """Nothing."""


def make(random: Random, base: Path, folder: Path) -> Case:
    """A recipe with some mistakes."""
    content = copy.deepcopy(BASE)
    if random.random() < 0.5:
        # what goes together less well with mistakes elsewhere
        for option in ("folds", "fold", "copy_paste"):
            del content["data"]["init_args"][option]
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        _spoil(content, random)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if random.random() < 0.03:
        text = random.choice(
            [text[: random.randrange(len(text))], text.replace(":", "", 1), f"{text}\n\t- x", "\0" + text]
        )
    # PyYAML itself would not write it
    levels = random.choice([50, 3000])
    text = text.replace(_DEEP, "[" * levels + "]" * levels)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return Case("fit", ["--config", "recipe.yaml", "--runs_dir", "runs"])


def _spoil(content: dict[str, Any], random: Random) -> None:
    path = random.choice(list(places(content)))
    way = random.randrange(7)
    if way in (0, 1) or (way in (2, 3) and path[-1] in _NEEDED):
        put(content, path, _value(random, path[-1]))
    elif way == 2:
        at(content, path[:-1]).pop(path[-1])
    elif way == 3:
        above = at(content, path[:-1])
        if isinstance(above, dict):
            above[misspell(str(path[-1]), random)] = above.pop(path[-1])
    elif way == 4:
        section = random.choice(list(_OPTIONS))
        option = random.choice(_OPTIONS[section])
        options = content.get(section)
        options = options.get("init_args", options) if isinstance(options, dict) else None
        if isinstance(options, dict):
            options[option] = _value(random, option)
    elif way == 5:
        _swap(content, random)
    else:
        put(content, path, random.choice([*CODE, _DEEP]))


def _swap(content: dict[str, Any], random: Random) -> None:
    """Another class, with arguments that may be its own."""
    what = random.choice(list(_CLASSES))
    spec = {"class_path": random.choice(_CLASSES[what])}
    if random.random() < 0.5:
        names = ("lr", "monitor", "height", "p", "encoder", "patience", "save_top_k", "scheduling", "betas", "momentum")
        spec["init_args"] = {random.choice(names): odd(random) for _ in range(random.choice([1, 2]))}
    keys: tuple[Any, ...] = {
        "callbacks": ("trainer", "callbacks"),
        "transforms": ("data", "init_args", "train_transforms"),
    }.get(what, ("model", "init_args", what))
    try:
        at(content, keys[:-1])[keys[-1]] = [spec] if what in ("callbacks", "transforms") else spec
    except (KeyError, TypeError, IndexError):
        # another mistake has taken the place away
        return


def _value(random: Random, key: Any) -> Any:
    value = odd(random)
    is_large = isinstance(value, int | float) and value > 2
    return -1 if key in _ENDLESS and (is_large or value in ("1e3", "auto")) else value
