"""Folders of example images with truth and prediction, from which figures can be drawn again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from lightseg.errors import DataError
from lightseg.files.atomic import atomic_folder, require_regular
from lightseg.files.limited import require_inside
from lightseg.labels import Color, color_table
from lightseg.metrics.per_image import PerImageResults
from lightseg.metrics.scores import iou, recall
from lightseg.runs.records import read_record

Image = npt.NDArray[np.uint8]

LONGEST = 512
"""Maximum length of the longer side of a written image, in pixels."""

WORST = 16
"""Number of images with the lowest scores that are written."""


@dataclass
class Example:
    """Image with its truth and prediction.

    Attributes:
        name: Name in the dataset.
        image: `(H, W, 3)` uint8.
        target: `(H, W)` class ids with `IGNORE`, or one class id; of classes that may overlap, `(C, H, W)` or `(C,)` of
            0, 1 and `IGNORE`.
        prediction: `(H, W)` class ids, or one class id; of classes that may overlap, of the form of the target.
    """

    name: str
    image: Image
    target: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]


def write_examples(folder: Path, examples: Sequence[Example], classes: Sequence[str], palette: Sequence[Color]) -> None:
    """Write a folder of PNGs atomically; an existing folder is replaced.

    Images are shrunk to `LONGEST`, masks by nearest-neighbor interpolation; masks are palette PNGs whose values are the
    class ids, 255 is void; those of classes that may overlap, with 0, 1 and void, lie below each other. Names, and the
    classes of whole images, are in `examples.json`.

    Args:
        folder: Folder to write.
        examples: Examples in order.
        classes: The C class names.
        palette: One RGB color per class.
    """
    with atomic_folder(folder) as temporary:
        entries = []
        for number, example in enumerate(examples):
            picture = Picture.fromarray(example.image)
            size = _shrink(picture.size)
            picture.resize(size, Picture.Resampling.BOX).save(temporary / f"{number:02d}_image.png")
            entry: dict[str, Any] = {"name": example.name}
            for kind, ids in (("truth", example.target), ("prediction", example.prediction)):
                if ids.ndim < 2:
                    entry[kind] = ids.tolist()
                    continue
                layers = ids[None] if ids.ndim == 2 else ids
                masks = [Picture.fromarray(layer.astype(np.uint8), "P") for layer in layers]
                resized = [np.asarray(mask.resize(size, Picture.Resampling.NEAREST)) for mask in masks]
                mask = Picture.fromarray(np.concatenate(resized), "P")
                mask.putpalette(color_table(palette).tobytes())
                mask.save(temporary / f"{number:02d}_{kind}.png")
            entries.append(entry)
        overlap = any(example.target.ndim in (1, 3) for example in examples)
        content = {"classes": list(classes), "multilabel": overlap, "examples": entries}
        (temporary / "examples.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_examples(folder: Path) -> tuple[list[Example], list[str]]:
    """Return the examples that `write_examples` wrote and the class names; empty lists without such a folder.

    Raises:
        UserError: If a file of it is damaged, or a link that leads out of it.
    """
    path = folder / "examples.json"
    if not path.exists():
        return [], []
    examples, content = [], read_record(path)
    masks = len(content["classes"]) if content.get("multilabel") else 1
    for number, entry in enumerate(content["examples"]):
        image = _read_png(folder / f"{number:02d}_image.png")
        truth, prediction = (
            np.asarray(
                entry[kind] if kind in entry else _read_png(folder / f"{number:02d}_{kind}.png", masks), np.int64
            )
            for kind in ("truth", "prediction")
        )
        if content.get("multilabel"):
            truth, prediction = (_separate(ids, image, folder) for ids in (truth, prediction))
        examples.append(Example(entry["name"], image, truth, prediction))
    return examples, content["classes"]


def read_palette(folder: Path, count: int) -> list[Color]:
    """Return the colors of the classes of a folder with masks that `write_examples` wrote.

    Args:
        folder: Folder to read.
        count: Number of classes.
    """
    path = folder / "00_prediction.png"
    require_regular(path)
    require_inside(path)
    with Picture.open(path, formats=("PNG",)) as picture:
        values = picture.getpalette() or []
    # a PNG has no entries behind the last one that differs
    values += [255] * (3 * count - len(values))
    return [(values[i], values[i + 1], values[i + 2]) for i in range(0, 3 * count, 3)]


def image_scores(evaluation: PerImageResults) -> npt.NDArray[np.float64]:
    """Return the IoU of each class in each image, float64 `(N, C)`; NaN where truth and prediction lack the class.

    The score of a classification is 1 or 0 for the image's true class and NaN for all others; of classes that may
    overlap, it is NaN only for those that are rightly not predicted.
    """
    return (recall if evaluation.kind == "classification" else iou)(evaluation.dense)


def worst(evaluation: PerImageResults) -> list[int]:
    """Return the indices of the `WORST` images with the lowest mean of `image_scores`, lowest first.

    Of equal scores the first image comes first. Images without a valid pixel are left out.
    """
    scores = image_scores(evaluation)
    scored = np.flatnonzero(~np.isnan(scores).all(1))
    order = np.argsort(np.nanmean(scores[scored], 1), kind="stable")
    return [int(index) for index in scored[order][:WORST]]


def _separate(ids: npt.NDArray[np.int64], image: Image, folder: Path) -> npt.NDArray[np.int64]:
    """Return the masks `(C, H, W)` that lie below each other, or the labels `(C,)` of a whole image as they are."""
    if ids.ndim < 2:
        return ids
    if ids.shape[1:] != image.shape[1:2] or len(ids) % len(image):
        raise DataError(f"{folder}: has masks of another size than their images; remove it")
    return ids.reshape(-1, *image.shape[:2])


def describe_labels(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> str:
    """Return the names of the classes of a whole image: of its class id `()`, or of 0 and 1 for each class, `(C,)`."""
    if not labels.ndim:
        return classes[int(labels)]
    return ", ".join(name for name, label in zip(classes, labels, strict=True) if label == 1) or "none"


def _read_png(path: Path, masks: int = 1) -> Image:
    """Read a picture, or some masks that lie below each other."""
    require_regular(path)
    require_inside(path)
    with Picture.open(path, formats=("PNG",)) as picture:
        width, height = picture.size
        if width > LONGEST or height > masks * LONGEST:
            raise DataError(f"{path}: has a side of more than {LONGEST} pixels, as no example has; remove its folder")
        return np.asarray(picture)


def _shrink(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONGEST / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
