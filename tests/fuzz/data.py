"""Folders of images with masks or annotations with damage, given to `fit`, `doctor` and `predict`."""

import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from PIL import Image

from lightseg.fit import main as fit
from tests.conftest import ROOT
from tests.fuzz import annotations
from tests.fuzz.case import Case
from tests.fuzz.odd import damage, odd, take_away

_SIZE, _COUNT = 24, 8

_OPTIONS = [
    *("classes", "values", "colors", "ignore", "channels", "splits", "images", "masks", "mask_suffix", "threshold"),
    *(
        "mask_channel",
        "missing_mask",
        "value_range",
        "nodata",
        "bands",
        "val_fraction",
        "test_fraction",
        "folds",
        "root",
    ),
]

_LISTS = [b"", b"0.png\n1.png\n", b"nothing\n", b"../x\n", b"\xff\n", b"0.png 0.png x\n"]
"""What a list of a split may hold."""

_TABLES: list[Any] = [
    *({0: "background", 1: "object"}, {0: "background"}, {255: "object"}, {"x": "object"}, {-1: "object"}),
    *({"background": [0, 0, 0], "object": [1, 2, 3]}, [[0, 0, 0], [255, 0, 0]], [[0, 0]], {"object": "red"}),
]
"""What someone may take for a table of values or colours."""

_SHAPES = [*((_SIZE, _SIZE), (1, 1), (1, 900), (_SIZE, _SIZE + 1), (_SIZE, _SIZE, 3), (_SIZE, _SIZE, 4), (3, 3, 2))]

_NAMES = ["caf\udce9.png", "x y.png", "é.png", "-.png", "[1].png", ".hidden.png", f"{'a' * 200}.png"]


def prepare(base: Path) -> None:
    """A sound folder, a model that was trained on it, and sound annotations in each format."""
    annotations.prepare(base / "annotated")
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (base / "sound" / name).mkdir(parents=True)
    for index in range(_COUNT):
        mask = np.zeros((_SIZE, _SIZE), np.uint8)
        mask[4:14, index : index + 10] = 1
        image = (rng.integers(0, 60, (_SIZE, _SIZE, 3)) + 150 * mask[..., None]).astype(np.uint8)
        Image.fromarray(image).save(base / f"sound/images/{index}.png")
        Image.fromarray(mask).save(base / f"sound/masks/{index}.png")
    _write_recipe(base / "recipe.yaml", {"classes": ["background", "object"], "root": str(base / "sound")})
    os.environ["LIGHTSEG_PRECISION"] = "32-true"
    if fit(["--config", str(base / "recipe.yaml"), "--runs_dir", str(base / "runs")]):
        raise RuntimeError("the sound data set cannot be trained on")


def make(random: Random, base: Path, folder: Path) -> Case:
    """A damaged folder and a verb."""
    if random.random() < 0.5:
        block, extra = annotations.make_data(random, base / "annotated", folder / "data")
        _write_recipe(folder / "recipe.yaml", {"root": "data", **extra}, block, *annotations.MODELS[block])
        return _train_or_look(random.choice(["fit", "fit", "doctor"]))
    shutil.copytree(base / "sound", folder / "data")
    options: dict[str, Any] = {"root": "data"}
    for _ in range(random.choice([1, 1, 2, 3])):
        _spoil(folder / "data", options, random)
    _write_recipe(folder / "recipe.yaml", {"classes": ["background", "object"], **options})
    verb = random.choice(["fit", "fit", "fit", "doctor", "predict"])
    if verb == "predict":
        run = next((base / "runs").glob("*/*"))
        return Case(verb, [str(run), "data/images", "--out", "out"])
    return _train_or_look(verb)


def _train_or_look(verb: str) -> Case:
    return Case(verb, ["--config", "recipe.yaml", *(["--runs_dir", "runs"] if verb == "fit" else ["--out", "out"])])


def _write_recipe(
    path: Path,
    options: dict[str, Any],
    block: str = "mask_folder",
    net: str = "unet",
    task: str = "SegmentationTask",
) -> None:
    resize = {"class_path": "albumentations.Resize", "init_args": {"height": 32, "width": 32}}
    transforms = [resize] if net == "simple_cnn" else []
    init_args = {
        "batch_size": 2,
        "num_workers": 0,
        **dict.fromkeys(("train_transforms", "eval_transforms"), transforms),
    }
    small_net = {} if net == "simple_cnn" else {"init_args": {"width": 4, "depth": 1}}
    content = {
        "base": [str(ROOT / f"configs/data/{block}.yaml"), str(ROOT / f"configs/net/{net}.yaml")],
        "data": {"init_args": {**init_args, **options}},
        "model": {"class_path": task, "init_args": {"net": small_net}},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1},
    }
    path.write_text(yaml.safe_dump(content))


def _spoil(root: Path, options: dict[str, Any], random: Random) -> None:
    files = sorted(file for file in root.rglob("*") if file.is_file())
    if not files:
        return
    file = random.choice(files)
    way = random.randrange(8)
    if way in (0, 1):
        file.write_bytes(damage(file.read_bytes(), random))
    elif way in (2, 3):
        _write_otherwise(file, random)
    elif way == 4:
        _move(file, root, random)
    elif way == 5:
        options[random.choice(_OPTIONS)] = odd(random)
    elif way == 6:
        (root / "train.txt").write_bytes(random.choice(_LISTS))
        options["splits"] = {"train": "train.txt", "val": random.choice(["train.txt", "no.txt", 5, None])}
    else:
        options[random.choice(["values", "colors"])] = random.choice(_TABLES)


def _write_otherwise(file: Path, random: Random) -> None:
    """The same name with another kind of picture in it."""
    rng = np.random.default_rng(random.randrange(2**32))
    shape = random.choice(_SHAPES)
    dtype = random.choice([np.uint8, np.uint16, np.int32, np.float32, np.bool_])
    array = rng.integers(0, random.choice([2, 3, 256]), shape).astype(dtype)
    if random.random() < 0.2:
        np.save(file.with_suffix(".npy"), random.choice([array, np.full(shape, np.nan), np.zeros(shape, "U3")]))
        file.unlink()
        return
    suffix = random.choice([".png", ".png", ".tif", ".jpg", ".bmp", ".gif", ".webp", ".ppm"])
    try:
        Image.fromarray(array).save(file.with_suffix(suffix))
    except (OSError, TypeError, ValueError, KeyError):
        # Pillow has no such picture; something else in this name, then
        file.write_bytes(array.tobytes())
        return
    if suffix != file.suffix:
        file.unlink()
    elif random.random() < 0.2:
        file.rename(file.with_suffix(random.choice([".jpg", ".tif", ".npy", ".txt", ".PNG"])))


def _move(file: Path, root: Path, random: Random) -> None:
    way = random.randrange(6)
    if way in (0, 1):
        take_away(file, leave_folder=way == 1)
    elif way == 2:
        file.unlink()
        file.symlink_to(random.choice([file.name, "nowhere", "/dev/zero", "/dev/null", "/proc/self/mem"]))
    elif way == 3:
        file.rename(file.with_name(random.choice(_NAMES)))
    elif way == 4:
        shutil.rmtree(file.parent)
    else:
        file.chmod(0)
        (root / random.choice(["train", "val", "test"])).mkdir(exist_ok=True)
