"""Annotation files of every format with damage, and masks of classes that may overlap."""

import json
import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from tests.data.annotations.one_drawing import COUNT, FORMATS, NAMES, pictures, pixels
from tests.data.annotations.one_drawing import objects as drawn_objects
from tests.fuzz.odd import damage, deep, odd, places, put

MODELS = {
    "annotated_images": ("unet", "SegmentationTask"),
    "multilabel_annotated_images": ("unet", "MultilabelSegmentationTask"),
    "annotated_images_labels": ("simple_cnn", "MultilabelClassificationTask"),
    "multilabel_mask_folder": ("unet", "MultilabelSegmentationTask"),
}
"""Block of the net and task of each block of data."""

_OPTIONS = {
    **dict.fromkeys(
        ("classes", "annotations", "format", "images", "missing_annotation", "splits", "group"), "annotated"
    ),
    **dict.fromkeys(("ignore", "merge", "other_classes", "crowd", "background", "overlap"), "annotated"),
    **dict.fromkeys(("mask_files", "positive", "threshold", "mask_channel", "missing_mask"), "multilabel"),
}
"""Options by the kind of data that has them."""

_MEANT: list[Any] = [
    *("skip", "ignore", "background", "error", "area", "order", "absent", "void", "coco", "labelme", "alpha"),
    *(["road"], ["road", "car"], {"sign": "car"}, {"train": "images"}, {"train": "a.json"}, "{name}", "{name}_{class}"),
    *([255], [1, 255], 128, ["background", *NAMES]),
]
"""Values that some option takes."""

_OUTLINES: list[Any] = [
    *([], [[]], [[1, 1, 9, 9]], [[1, 1, 5, 5, 9, 9]], [[1, 1, 0], [9, 1, 0], [5, 9, 0]], [[1e6, 1, 9, 1, 5, 9]]),
    *(
        {"size": [40, 60], "counts": [2400]},
        {"size": [40, 60], "counts": "o" * 5000},
        {"size": [10**9] * 2, "counts": "0"},
    ),
    *({"size": [40, 60], "counts": [0.5, 2399.5]}, {"size": [40, 60], "counts": "\ud800"}, [[10**400] * 6], "\ud800"),
]
"""Outlines of COCO and LabelMe that are none, or nearly."""

_YAML = [
    *("names: [*a]\n", "train: &a [*a]\n", "names: !!timestamp x\n", "names: [!!int '']\n", 'path: "a\\0b"\n'),
    *("names: {-1: road, 0: car, 5: sign}\n", "names: [yes, no, 3]\n", "val: train.txt\n", "train: /dev/zero\n"),
    "b: &b [1, 1, 1, 1]\nc: &c [*b, *b, *b, *b]\nd: &d [*c, *c, *c, *c]\n",
]
"""Lines that a YAML file may end with."""

_XML = [
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
    '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>',
    "<track/>",
]
"""Things that an XML file may begin with."""


def prepare(base: Path) -> None:
    """The drawing in each format, and as a mask for each class."""
    for make in FORMATS:
        (base / make.__name__).mkdir(parents=True)
        (base / f"{make.__name__}.json").write_text(json.dumps(make(base / make.__name__)))
    pictures(base / "masks")
    for index in range(COUNT):
        for name in NAMES:
            regions = [pixels(*item) for item in drawn_objects(index) if item[0] == name]
            path = base / f"masks/masks/{name}/{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 * np.any(regions, 0).astype(np.uint8)).save(path)
    (base / "masks.json").write_text(json.dumps({"classes": NAMES}))


def make_data(random: Random, base: Path, root: Path) -> tuple[str, dict[str, Any]]:
    """Damaged annotations, or masks, below a new folder; the block that reads them, and its options."""
    block = random.choice(list(MODELS))
    name = "masks" if block == "multilabel_mask_folder" else random.choice(FORMATS).__name__
    shutil.copytree(base / name, root)
    options: dict[str, Any] = json.loads((base / f"{name}.json").read_text())
    kind = "multilabel" if name == "masks" else "annotated"
    files = sorted(
        file for file in root.rglob("*") if file.suffix in (".json", ".xml", ".txt", ".yaml") or name == "masks"
    )
    for _ in range(random.choice([1, 1, 2, 3])):
        file = random.choice([file for file in files if file.is_file()] or [None])
        if file is None or random.random() < 0.2:
            option = random.choice([option for option, has in _OPTIONS.items() if has == kind])
            options[option] = random.choice([odd(random), random.choice(_MEANT), random.choice(_MEANT)])
        elif random.random() < 0.15:
            file.write_bytes(damage(file.read_bytes(), random))
        else:
            _CHANGES.get(file.suffix, _change_mask)(file, random)
    return block, options


def _change_json(file: Path, random: Random) -> None:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        # it is damaged already
        return
    paths = list(places(content))
    if not paths:
        return
    outlines = [path for path in paths if path[-1] in ("segmentation", "points", "mask")]
    path = random.choice(outlines if outlines and random.random() < 0.4 else paths)
    value = random.choice([odd(random), odd(random), random.choice(_OUTLINES), deep(100)])
    put(content, path, value)
    file.write_text(json.dumps(content))


def _change_xml(file: Path, random: Random) -> None:
    text = file.read_text(errors="replace")
    values = list(re.finditer(r'"[^"]*"', text))
    way = random.randrange(4)
    if way == 0 or not values:
        file.write_text(random.choice([f"{random.choice(_XML)}{text}", text.replace("<image", f"{_XML[2]}<image", 1)]))
        return
    value = random.choice(values)
    words = [str(odd(random)), "1;2;3", "1,1;9,1;5,9;", "&a;", "&#0;", "1e6,1;2,2;3,3", "99999999999999999999", "-1"]
    word = random.choice(words).replace("<", "").replace('"', "")
    file.write_text(f'{text[: value.start()]}"{word}"{text[value.end() :]}', errors="replace")


def _change_lines(file: Path, random: Random) -> None:
    words = re.split(r"(\s+)", file.read_text(errors="replace"))
    odd_words = [str(odd(random)), "", "9" * 400, "nan", "-0.001", "1.005", "0.5 0.5 0.5", "\n", "²", "\0", "../x.png"]
    words[random.randrange(len(words))] = random.choice(odd_words)
    file.write_text("".join(words), errors="replace")


def _change_yaml(file: Path, random: Random) -> None:
    file.write_text(file.read_text(errors="replace") + random.choice(_YAML))


def _change_mask(file: Path, random: Random) -> None:
    """Other values, another size or another format; or no file."""
    rng = np.random.default_rng(random.randrange(2**32))
    if random.random() < 0.2:
        file.unlink()
        return
    shape = random.choice([(40, 60), (40, 60), (60, 40), (1, 1), (40, 60, 3), (3, 40, 60), (2, 40, 60)])
    dtype = random.choice([np.uint8, np.uint8, np.bool_, np.uint16, np.float32])
    array = rng.choice(random.choice([[0, 1], [0, 255], [255], [0, 1, 255], [0, 7], [0, 0.5]]), shape).astype(dtype)
    if random.random() < 0.4:
        np.save(file.with_suffix(".npy"), array)
        file.unlink()
    else:
        flat = array.astype(np.uint8) if array.ndim == 2 or shape[-1] == 3 else array[0].astype(np.uint8)
        Image.fromarray(flat).save(file, "PNG")


_CHANGES = {".json": _change_json, ".xml": _change_xml, ".txt": _change_lines, ".yaml": _change_yaml}
