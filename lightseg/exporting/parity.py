"""Parity of an exported file with torch, on images of the run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lightseg.data import ImageDataModule
from lightseg.data.types import Split
from lightseg.errors import ConfigError, DataError
from lightseg.exporting.formats import Predict
from lightseg.exporting.graph import InferenceGraph
from lightseg.files.evenly_spaced import spread
from lightseg.metrics.confusion_matrix import ConfusionMatrix
from lightseg.tasks import Task

ODD = (37, 61)
AGREEMENT, SCORE = 0.9999, 1e-4
"""The least share of equal classes, and the largest difference of the score, that an exported file may have."""

Sample: TypeAlias = tuple[Tensor, Tensor | None]
"""An image `(1, C, H, W)` uint8, and its truth `(1, H, W)` or `(1,)` int64, if there is one."""


def read_samples(data: ImageDataModule, split: Split, count: int, every_dtype: bool = False) -> list[Sample]:
    """At most `count` images of a split with their truth, spread evenly over it.

    Args:
        data: The data.
        split: Of which split.
        count: How many.
        every_dtype: Take images that are not of 8 bits, too.

    Raises:
        ConfigError: If they are not of 8 bits, with which a graph starts.
        DataError: If the split is empty, or an image cannot be read.
    """
    samples: list[Sample] = []
    for index in spread(count, len(data.dataset(split))):
        batch = data.eval_batch(index, split)
        if not every_dtype:
            require_bytes(str(batch["image"].dtype).removeprefix("torch."))
        samples.append((batch["image"], batch["target"]))
    if not samples:
        raise DataError(f"{data.root}: the {split} split of {type(data).__name__} is empty")
    return samples


def require_bytes(dtype: str | None) -> None:
    """See that the images of a run are of 8 bits, as a graph takes them.

    Args:
        dtype: Their type; None where a run does not tell it.

    Raises:
        ConfigError: If they are not.
    """
    if dtype is None:
        raise ConfigError("this run does not tell the type of its images; leave out --images 0 to look at some")
    if dtype != "uint8":
        raise ConfigError(
            f"the images of this run are {dtype}, not of 8 bits, with which an exported graph starts; "
            "--format safetensors takes any"
        )


def random_samples(count: int, channels: int, size: Sequence[int]) -> list[Sample]:
    """Images of noise, the same every time, where there are no others."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, channels, *size)
    return [(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator), None) for _ in range(count)]


@dataclass(frozen=True)
class Parity:
    """Difference of an exported file from torch.

    Attributes:
        images: How many were compared.
        sizes: How many different heights and widths they had.
        predictions: How many pixels (or images) they had.
        max_difference: Largest absolute difference of a probability.
        agreement: Share of predictions that name the same class.
        score: mIoU (or accuracy) of torch on these images; None without truth.
        exported_score: The same of the exported file.
    """

    images: int
    sizes: int
    predictions: int
    max_difference: float
    agreement: float
    score: float | None
    exported_score: float | None

    @property
    def loss(self) -> float:
        """Return how much of the score was lost; 0 without truth."""
        return 0.0 if self.score is None or self.exported_score is None else self.score - self.exported_score

    def holds(self, tolerance: float) -> bool:
        """Return whether probabilities are within the tolerance, and classes and score within what is fixed."""
        # written so that what is not a number fails
        return self.max_difference <= tolerance and self.agreement >= AGREEMENT and abs(self.loss) <= SCORE

    def record(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {**asdict(self), "loss": self.loss}

    def __str__(self) -> str:
        text = (
            f"{self.images} images of {self.sizes} size{'s' * (self.sizes > 1)}: probabilities differ by at most "
            f"{self.max_difference:.1e}, {100 * self.agreement:.4f} % of {self.predictions:,} classes agree"
        )
        if self.score is None:
            return text
        return f"{text}, score {self.score:.4f} → {self.exported_score:.4f} (loss {self.loss:.1e})"


@torch.inference_mode()
def compare(task: Task, predict: Predict, samples: Sequence[Sample]) -> Parity:
    """Predict all samples with torch and with an exported file."""
    graph, largest, equal, total = InferenceGraph(task), 0.0, 0, 0
    matrices = [ConfusionMatrix(len(task.classes)) for _ in range(2)]
    for image, target in samples:
        expected, actual = graph(image), predict(image)
        # numpy's, which keeps what is not a number
        largest = float(np.maximum(largest, float((expected[0] - actual[0]).abs().max())))
        equal, total = equal + int((expected[1] == actual[1]).sum()), total + expected[1].numel()
        if target is not None:
            for matrix, (probabilities, classes) in zip(matrices, (expected, actual), strict=True):
                matrix.update(_at_target(probabilities, classes, target), target)
    scores = [_score(task, matrix) for matrix in matrices]
    sizes = len({image.shape[2:] for image, _ in samples})
    return Parity(len(samples), sizes, total, largest, equal / total, scores[0], scores[1])


def odd_samples(samples: Sequence[Sample]) -> list[Sample]:
    """Four of the images at an odd size, in batches of 3 and 1: neither is what was traced."""
    odd: list[Sample] = []
    for turn, (image, _) in enumerate(samples[:4]):
        if image.shape[2] < ODD[0] or image.shape[3] < ODD[1]:
            image = F.interpolate(image, ODD, mode="nearest")
        crop = image[..., : ODD[0], : ODD[1]]
        odd.append((crop if turn % 2 else torch.cat([crop, crop.flip(-1), crop.flip(-2)]), None))
    return odd


def _score(task: Task, matrix: ConfusionMatrix) -> float | None:
    """Return the score of what was counted; None where there was no truth, or all of it was void."""
    if not matrix.update_called or not (counts := matrix.compute()).any():
        return None
    return task.scores(counts)["score"]


def _at_target(probabilities: Tensor, classes: Tensor, target: Tensor) -> Tensor:
    """Classes at the size of the ground truth."""
    if classes.shape != target.shape:
        probabilities = F.interpolate(probabilities, target.shape[1:], mode="bilinear", align_corners=False)
        classes = probabilities.argmax(1)
    return classes.long()
