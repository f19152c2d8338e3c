"""Parity of exported files with torch, on images of the run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from lightseg.data import ImageDataModule
from lightseg.data.types import Split
from lightseg.errors import ConfigError, DataError
from lightseg.exporting.formats import Predict
from lightseg.exporting.graph import InferenceGraph
from lightseg.files.evenly_spaced import spread
from lightseg.files.printable import format_count
from lightseg.tasks import Task

ODD = (37, 61)
AGREEMENT, SCORE = 0.9999, 1e-4
"""Least share of equal classes, and largest difference of the score, of an accepted export."""

ParitySample: TypeAlias = tuple[Tensor, Tensor | None]
"""Image `(1, C, H, W)` uint8, and its target as in `Batch`; None without a target."""


def read_samples(data: ImageDataModule, split: Split, count: int, every_dtype: bool = False) -> list[ParitySample]:
    """Return at most `count` samples of a split, evenly spaced.

    Args:
        data: The data module.
        split: The split.
        count: Largest number of samples.
        every_dtype: Accept images that are not uint8, too.

    Raises:
        ConfigError: If the images are not uint8, which a graph takes.
        DataError: If the split is empty, or an image cannot be read.
    """
    samples: list[ParitySample] = []
    for index in spread(count, len(data.dataset(split))):
        batch = data.eval_batch(index, split)
        if not every_dtype:
            require_bytes(str(batch["image"].dtype).removeprefix("torch."))
        samples.append((batch["image"], batch["target"]))
    if not samples:
        raise DataError(f"{data.root}: the {split} split of {type(data).__name__} is empty")
    return samples


def require_bytes(dtype: str | None) -> None:
    """Check that the images of a run are uint8, as a graph takes them.

    Args:
        dtype: Their type; None if the run did not record it.

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


def random_samples(count: int, channels: int, size: Sequence[int]) -> list[ParitySample]:
    """Return images of noise from a fixed seed, without targets.

    Args:
        count: Number of images.
        channels: Channels of an image.
        size: Height and width.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (1, channels, *size)
    return [(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator), None) for _ in range(count)]


@dataclass(frozen=True)
class Parity:
    """Differences between the predictions of an exported file and of torch.

    Attributes:
        images: Number of images.
        sizes: Number of different image sizes.
        predictions: Number of pixels (or images).
        max_difference: Largest absolute difference of a probability.
        agreement: Share of predictions with the same class.
        score: mIoU (or accuracy) of torch on these images; None without targets.
        exported_score: Score of the exported file, likewise.
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
        """Score of torch minus that of the exported file; 0 without targets."""
        return 0.0 if self.score is None or self.exported_score is None else self.score - self.exported_score

    def holds(self, tolerance: float) -> bool:
        """Return whether probabilities are within the tolerance, and classes and score within the fixed limits."""
        # comparisons that are false for NaN
        return self.max_difference <= tolerance and self.agreement >= AGREEMENT and abs(self.loss) <= SCORE

    def record(self) -> dict[str, Any]:
        """Return the differences as plain data."""
        return {**asdict(self), "loss": self.loss}

    def __str__(self) -> str:
        text = (
            f"{self.images} images of {format_count(self.sizes, 'size')}: probabilities differ by at most "
            f"{self.max_difference:.1e}, {100 * self.agreement:.4f} % of {self.predictions:,} classes agree"
        )
        if self.score is None:
            return text
        return f"{text}, float32 score {self.score:.4f} → {self.exported_score:.4f} (loss {self.loss:.1e})"


@torch.inference_mode()
def compare(task: Task, predict: Predict, samples: Sequence[ParitySample]) -> Parity:
    """Compare the predictions of torch and of an exported file on all samples.

    Args:
        task: The task in torch.
        predict: Prediction function of the exported file.
        samples: Images with or without targets.
    """
    graph, largest, equal, total = InferenceGraph(task), 0.0, 0, 0
    counts = [task.make_counts() for _ in range(2)]
    for image, target in samples:
        expected, actual = graph(image), predict(image)
        # np.maximum propagates NaN, max does not
        largest = float(np.maximum(largest, float((expected[0] - actual[0]).abs().max())))
        equal, total = equal + int((expected[1] == actual[1]).sum()), total + expected[1].numel()
        if target is not None:
            for metric, (probabilities, classes) in zip(counts, (expected, actual), strict=True):
                # of classes that may overlap, 0 and 1 are counted as probabilities, which gives the same predictions
                metric.update(_resize_to_target(task, probabilities, classes, target), target)
    scores = [_score(task, metric) for metric in counts]
    sizes = len({image.shape[2:] for image, _ in samples})
    return Parity(len(samples), sizes, total, largest, equal / total, scores[0], scores[1])


def odd_samples(samples: Sequence[ParitySample]) -> list[ParitySample]:
    """Return up to four images at the size `ODD`, in batches of 3 and 1, to test sizes that were not traced."""
    odd: list[ParitySample] = []
    for number, (image, _) in enumerate(samples[:4]):
        if image.shape[2] < ODD[0] or image.shape[3] < ODD[1]:
            image = F.interpolate(image, ODD, mode="nearest")
        crop = image[..., : ODD[0], : ODD[1]]
        odd.append((crop if number % 2 else torch.cat([crop, crop.flip(-1), crop.flip(-2)]), None))
    return odd


def _score(task: Task, metric: Metric) -> float | None:
    """Return the score of some counts; None if there were no targets, or void ones only."""
    if not metric.update_called or not (counts := metric.compute()).any():
        return None
    return task.scores(counts)["score"]


def _resize_to_target(task: Task, probabilities: Tensor, classes: Tensor, target: Tensor) -> Tensor:
    """Return the predicted classes at the size of the target, int64."""
    if classes.shape != target.shape:
        probabilities = F.interpolate(probabilities, target.shape[-2:], mode="bilinear", align_corners=False)
        # logarithms of the odds of each class, by themselves, have the order of the probabilities
        classes = task.decide(probabilities.logit())
    return classes.long()
