"""Images of a split with what was said about them, predicted again one by one, and the small pictures made of them."""

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
from lightseg.explanation.table import Floats
from lightseg.explanation.uncertainty import entropy
from lightseg.visualization.examples import Image
from lightseg.visualization.figures import colorize, errors
from lightseg.visualization.html.images import LONGEST

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage, Task

_OPAQUE = 0.65
"""How much numbers cover the image that they are drawn over."""

_KEPT = 4
"""So many whole images are held in memory."""


class Picture(NamedTuple):
    """Picture small enough for a page.

    Attributes:
        pixels: `(H, W, 3)` uint8.
        caption: What is written below it.
        photo: Whether it is saved as a photograph.
    """

    pixels: Image
    caption: str
    photo: bool = False


class Exhibit(NamedTuple):
    """Pictures of one image, with a title and a remark."""

    title: str
    remark: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Look:
    """Image and what was said about it.

    Attributes:
        name: What the data calls it.
        image: `(H, W, 3)` uint8.
        target: Class ids with `IGNORE`, `(H, W)`, or `()` for a classification; as the next two.
        prediction: Class ids.
        entropy: Normalised entropy, in 0..1.
        probabilities: Mean probability of each class, `(C,)`.
    """

    name: str
    image: Image
    target: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    entropy: Floats
    probabilities: Floats


class Gallery:
    """Looks at the images of a split.

    Args:
        task: Who predicts.
        data: Whose images they are.
        split: Which split they are of.
    """

    def __init__(self, task: Task, data: ImageDataModule, split: Stage) -> None:
        self.task, self.data, self.split = task, data, split
        self.palette = data.palette
        self.look = lru_cache(_KEPT)(self._look)

    def batch(self, index: int) -> Batch:
        """Return an image as evaluation sees it, a batch of one on the task's device."""
        return to_device(self.data.eval_batch(index, self.split), self.task.device)

    @torch.inference_mode()
    def _look(self, index: int) -> Look:
        dataset = self.data.dataset(self.split)
        logits = self.task.logits_at_target(self.batch(index))[0].cpu()
        probabilities = (logits / self.task.temperature).softmax(0)
        image, target = dataset[index]
        return Look(
            dataset.name(index),
            visible(image),
            np.asarray(target, np.int64),
            logits.argmax(0).numpy(),
            entropy(probabilities).double().numpy(),
            probabilities.reshape(len(probabilities), -1).double().mean(1).numpy(),
        )

    def photo(self, image: Image, caption: str = "image") -> Picture:
        """Return an image as a picture."""
        return Picture(_shrunk(image, cv2.INTER_AREA), caption, photo=True)

    def mask(self, ids: npt.NDArray[np.int64], caption: str) -> Picture:
        """Class ids as a picture."""
        return Picture(_shrunk(colorize(ids, self.palette), cv2.INTER_NEAREST), caption)

    def errors(self, target: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64]) -> Picture:
        """Return where a prediction is wrong as a picture."""
        return Picture(_shrunk(errors(target, prediction), cv2.INTER_NEAREST), "errors")

    def heat(self, values: Floats, caption: str, image: Image | None = None) -> Picture:
        """Numbers in 0..1 as a picture, over an image if there is one."""
        colors = 255 * matplotlib.colormaps["inferno"](np.clip(values, 0, 1))[..., :3]
        if image is not None:
            # in grey, so that all colour is that of the numbers
            colors = _OPAQUE * colors + (1 - _OPAQUE) * image.mean(2, keepdims=True)
        return Picture(_shrunk(colors.astype(np.uint8), cv2.INTER_AREA), caption, photo=True)


def _shrunk(image: Image, interpolation: int) -> Image:
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=interpolation), np.uint8)
