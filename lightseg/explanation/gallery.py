"""Images of a split, predicted again one at a time, and small pictures of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
import torch

from lightseg.data.io.images import visible
from lightseg.data.loading.collate import to_device
from lightseg.data.types import Batch
from lightseg.explanation.uncertainty import entropy, label_entropy
from lightseg.metrics.scores import Floats
from lightseg.visualization.examples import Image
from lightseg.visualization.figures import colorize, errors, label_errors
from lightseg.visualization.html.images import LONGEST

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage, Task

_OPAQUE = 0.65
"""Opacity of values over an image."""

_CACHED = 4
"""Number of predicted images in the cache."""


class Picture(NamedTuple):
    """Picture small enough for a page.

    Attributes:
        pixels: `(H, W, 3)` uint8.
        caption: Text below the picture.
        photo: Whether it is saved as a JPEG photograph.
    """

    pixels: Image
    caption: str
    photo: bool = False


class PictureGroup(NamedTuple):
    """Pictures of one image with a title and a remark."""

    title: str
    remark: str
    pictures: list[Picture]


@dataclass(frozen=True)
class ImagePrediction:
    """Image with its prediction.

    Attributes:
        name: Name of the image in the data.
        image: `(H, W, 3)` uint8.
        target: Class ids and `IGNORE`, int64 `(H, W)`, or `()` for a classification; of classes that may overlap, 0, 1
            and `IGNORE`, `(C, H, W)` or `(C,)`.
        prediction: Class ids, or 0 and 1, likewise.
        entropy: Normalized entropy, float64 in 0..1, `(H, W)` or `()`; of classes that may overlap, the mean of theirs.
        probabilities: Mean probability of each class, `(C,)`.
    """

    name: str
    image: Image
    target: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    entropy: Floats
    probabilities: Floats


class Gallery:
    """Predictions and pictures of the images of a split.

    Args:
        task: The task.
        data: The data.
        split: The split.
    """

    def __init__(self, task: Task, data: ImageDataModule, split: Stage) -> None:
        self.task, self.data, self.split = task, data, split
        self.palette = data.palette
        self.predict = lru_cache(_CACHED)(self._predict)

    def batch(self, index: int) -> Batch:
        """Return an image as a batch of one on the task's device, prepared as in an evaluation."""
        return to_device(self.data.eval_batch(index, self.split), self.task.device)

    @torch.inference_mode()
    def _predict(self, index: int) -> ImagePrediction:
        task, dataset, batch = self.task, self.data.dataset(self.split), self.batch(index)
        logits = task.logits_at_target(batch)
        prediction, logits = task.decide(logits)[0].cpu(), logits[0].cpu()
        probabilities = task.probabilities(logits / task.temperature, 0)
        uncertainty = label_entropy(probabilities).mean(0) if task.multilabel else entropy(probabilities)
        return ImagePrediction(
            dataset.name(index),
            visible(dataset[index][0]),
            batch["target"][0].long().cpu().numpy(),
            prediction.long().numpy(),
            uncertainty.double().numpy(),
            probabilities.reshape(len(probabilities), -1).double().mean(1).numpy(),
        )

    def photo(self, image: Image, caption: str = "image") -> Picture:
        """Return an image as a picture."""
        return Picture(_reduce(image, cv2.INTER_AREA), caption, photo=True)

    def mask(self, ids: npt.NDArray[np.int64], caption: str) -> Picture:
        """Return class ids as a picture; of classes that may overlap, in the mean color of those that a pixel has."""
        return Picture(_reduce(colorize(ids, self.palette), cv2.INTER_NEAREST), caption)

    def errors(self, target: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64]) -> Picture:
        """Return the errors of a prediction, class ids `(H, W)` or `(H, W, K)`, as a picture."""
        return Picture(_reduce(errors(target, prediction), cv2.INTER_NEAREST), "errors")

    def label_errors(self, target: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], name: str) -> Picture:
        """Return the errors about one of the classes that may overlap, `(H, W)` each, as a picture."""
        return Picture(_reduce(label_errors(target, prediction), cv2.INTER_NEAREST), f"errors of {name}")

    def heat(self, values: Floats, caption: str, image: Image | None = None) -> Picture:
        """Return values in 0..1 as a picture, over an image if one is passed."""
        colors = 255 * matplotlib.colormaps["inferno"](np.clip(values, 0, 1))[..., :3]
        if image is not None:
            # the image is gray, so that colors show the values only
            colors = _OPAQUE * colors + (1 - _OPAQUE) * image.mean(2, keepdims=True)
        return Picture(_reduce(colors.astype(np.uint8), cv2.INTER_AREA), caption, photo=True)


def _reduce(image: Image, interpolation: int) -> Image:
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=interpolation), np.uint8)
