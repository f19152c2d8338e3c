"""Statistics of one pass over a split, image by image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightseg.data.loading.collate import to_device
from lightseg.errors import DataError
from lightseg.explanation.error_types import PARTS, divide_errors
from lightseg.explanation.slices import places, thirds
from lightseg.explanation.table import Table
from lightseg.explanation.uncertainty import ByUncertainty, entropy
from lightseg.labels import IGNORE
from lightseg.metrics.calibration import Calibration, Reliability, valid_pixels
from lightseg.metrics.object_recall import SIZES
from lightseg.metrics.scores import Floats, Integers

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage, Task


@dataclass(frozen=True)
class Observations:
    """Statistics of a split.

    Attributes:
        kind: `segmentation` or `classification`.
        classes: The C class names.
        names: Names of the N images.
        cells: Counts of pixels (or images) by `image`, `truth`, `prediction` and the columns of `slices.SLICES`; for a
            segmentation also by `part`, the error type.
        objects: Counts of the true objects by `image`, `truth`, `missed` and the same slices; None for a
            classification.
        entropy: Mean normalized entropy of each image, float64 `(N,)`; NaN where every pixel is void.
        truth_probability: Mean probability of the true class in each image, likewise.
        temperature: Divisor of the logits before the softmax.
        reliability: Confidence and accuracy with that temperature.
        uncalibrated: The same at temperature 1; None if the temperature is 1.
        by_uncertainty: Errors by uncertainty of the pixels (or images).
    """

    kind: str
    classes: list[str]
    names: list[str]
    cells: Table
    objects: Table | None
    entropy: Floats
    truth_probability: Floats
    temperature: float
    reliability: Reliability
    uncalibrated: Reliability | None
    by_uncertainty: ByUncertainty

    @property
    def confusion(self) -> Integers:
        """Return the confusion matrix, truth × prediction, int64 `(C, C)`."""
        return self.cells.sums(truth=len(self.classes), prediction=len(self.classes))

    @property
    def wrong(self) -> int:
        """Return the number of wrong pixels (or images): the sum off the diagonal of the confusion matrix."""
        return int(self.confusion.sum() - np.trace(self.confusion))

    @property
    def unit(self) -> str:
        """Return the unit of the counts."""
        return "pixels" if self.kind == "segmentation" else "images"


@dataclass
class _Collector:
    """Accumulator of the statistics of single images."""

    task: Task
    cells: list[Table] = field(default_factory=list)
    objects: list[Table] = field(default_factory=list)
    light: list[tuple[float, float]] = field(default_factory=list)
    certainty: list[tuple[float, float]] = field(default_factory=list)
    by_uncertainty: ByUncertainty = field(default_factory=ByUncertainty)

    def __post_init__(self) -> None:
        self.calibrated, self.uncalibrated = Calibration(self.task.temperature), Calibration()

    def add(self, index: int, image: Tensor, logits: Tensor, target: Tensor) -> None:
        """Add an image.

        Args:
            index: Index of the image in its split.
            image: `(C, H, W)`.
            logits: `(K, H, W)` or `(K,)` float32.
            target: `(H, W)` or `()` int64.
        """
        for calibration in (self.calibrated, self.uncalibrated) if self.task.temperature != 1 else (self.calibrated,):
            calibration.update(logits[None], target[None], torch.tensor([index]))
        self.light.append(_light(image))
        self.certainty.append(_certainty(self.by_uncertainty, logits / self.task.temperature, target))
        if self.task.kind == "segmentation":
            cells, objects = _segmented(target.numpy(), logits.argmax(0).numpy(), len(self.task.classes))
            self.objects.append(objects.with_column("image", np.full(len(objects), index)))
        else:
            cells = _classified(target, logits.argmax(0))
        self.cells.append(cells.with_column("image", np.full(len(cells), index)))

    def finish(self, names: list[str]) -> Observations:
        """Return the statistics of all images.

        Args:
            names: Names of the images.
        """
        columns = zip(("brightness", "contrast"), np.array(self.light).T, strict=True)
        levels = {name: thirds(values) for name, values in columns}
        uncertainty, probability = np.array(self.certainty).T
        return Observations(
            self.task.kind,
            list(self.task.classes),
            names,
            _with_light(Table.stack(self.cells), levels),
            _with_light(Table.stack(self.objects), levels) if self.objects else None,
            uncertainty,
            probability,
            self.task.temperature,
            Reliability.of(*self.calibrated.compute()),
            Reliability.of(*self.uncalibrated.compute()) if self.task.temperature != 1 else None,
            self.by_uncertainty,
        )


@torch.inference_mode()
def collect(task: Task, data: ImageDataModule, split: Stage) -> Observations:
    """Predict every image of a split, one at a time, which limits the memory to that of one, and collect statistics.

    Raises:
        DataError: If no pixel of the split is valid, or a file is broken.
    """
    dataset, collector = data.dataset(split), _Collector(task)
    for index in range(len(dataset)):
        batch = to_device(data.eval_batch(index, split), task.device)
        logits, target = task.logits_at_target(batch).cpu(), batch["target"].cpu()
        collector.add(index, batch["image"][0], logits[0], target[0])
    if not any(map(len, collector.cells)):
        raise DataError(f"{data.root}: every pixel of the {split} split is void; there is nothing to explain")
    return collector.finish([dataset.name(index) for index in range(len(dataset))])


def _light(image: Tensor) -> tuple[float, float]:
    """Return the mean and the standard deviation of an image, `(C, H, W)`, over its pixels, averaged over channels."""
    gray = image.float().mean(0)
    return float(gray.mean()), float(gray.std(correction=0))


def _certainty(by_uncertainty: ByUncertainty, logits: Tensor, target: Tensor) -> tuple[float, float]:
    """Count an image by its uncertainty, and return the mean entropy and the mean probability of the true class."""
    valid, truth = valid_pixels(logits, target)
    if not len(truth):
        return float("nan"), float("nan")
    probabilities = valid.T.softmax(0)
    uncertainty = entropy(probabilities)
    by_uncertainty.update(uncertainty, valid.argmax(1) != truth)
    return float(uncertainty.mean()), float(probabilities.gather(0, truth[None]).mean())


def _classified(target: Tensor, prediction: Tensor) -> Table:
    """Return the cell of an image, or no cell if it is void."""
    cell = {"truth": int(target), "prediction": int(prediction), "count": 1}
    return Table({name: np.full(int(target != IGNORE), value, np.int64) for name, value in cell.items()})


def _segmented(target: npt.NDArray[Any], prediction: npt.NDArray[Any], classes: int) -> tuple[Table, Table]:
    """Return the cells of the pixels of an image, and its objects."""
    valid, errors, size = target != IGNORE, divide_errors(target, prediction), (target.shape[0], target.shape[1])
    rows, columns = np.nonzero(valid)
    keys = {"truth": target[valid], "prediction": prediction[valid], **places(rows + 0.5, columns + 0.5, size)}
    keys |= {"size": errors.size[valid].astype(np.int64), "part": errors.part[valid].astype(np.int64)}
    shape = (classes, classes, 2, 2, 2, len(SIZES), len(PARTS))
    counts = np.bincount(np.ravel_multi_index(tuple(keys.values()), shape))
    occupied = np.flatnonzero(counts)
    cells = dict(zip(keys, np.unravel_index(occupied, shape), strict=True))
    centers = errors.objects.centers + 0.5
    objects = {
        "truth": errors.objects.classes,
        **places(centers[:, 0], centers[:, 1], size),
        "size": errors.sizes,
        "missed": errors.missed.astype(np.int64),
        "count": np.ones(len(errors.missed), np.int64),
    }
    return Table({**cells, "count": counts[occupied]}), Table(objects)


def _with_light(table: Table, levels: dict[str, Integers]) -> Table:
    for name, values in levels.items():
        table = table.with_column(name, values[table["image"]])
    return table
