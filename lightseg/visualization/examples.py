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
        target: `(H, W)` class ids with `IGNORE`, or one class id.
        prediction: `(H, W)` class ids, or one class id.
    """

    name: str
    image: Image
    target: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]


def write_examples(folder: Path, examples: Sequence[Example], classes: Sequence[str], palette: Sequence[Color]) -> None:
    """Write a folder of PNGs atomically; an existing folder is replaced.

    Images are shrunk to `LONGEST`, masks by nearest-neighbor interpolation; masks are palette PNGs whose values are the
    class ids, 255 is void. Names, and the classes of whole images, are in `examples.json`.

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
                if ids.ndim:
                    mask = Picture.fromarray(ids.astype(np.uint8), "P")
                    mask.putpalette(color_table(palette).tobytes())
                    mask.resize(size, Picture.Resampling.NEAREST).save(temporary / f"{number:02d}_{kind}.png")
                else:
                    entry[kind] = int(ids)
            entries.append(entry)
        content = {"classes": list(classes), "examples": entries}
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
    for number, entry in enumerate(content["examples"]):
        image = _read_png(folder / f"{number:02d}_image.png")
        truth, prediction = (
            np.asarray(entry[kind] if kind in entry else _read_png(folder / f"{number:02d}_{kind}.png"), np.int64)
            for kind in ("truth", "prediction")
        )
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

    The score of a classification is 1 or 0 for the image's true class and NaN for all others.
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


def _read_png(path: Path) -> Image:
    require_regular(path)
    require_inside(path)
    with Picture.open(path, formats=("PNG",)) as picture:
        if max(picture.size) > LONGEST:
            raise DataError(f"{path}: has a side of more than {LONGEST} pixels, as no example has; remove its folder")
        return np.asarray(picture)


def _shrink(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONGEST / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
