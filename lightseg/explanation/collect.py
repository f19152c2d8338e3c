"""Statistics of one pass over a split, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightseg.data.loading.collate import to_device
from lightseg.errors import DataError
from lightseg.explanation.error_types import PARTS, divide_errors
from lightseg.explanation.slices import places, thirds
from lightseg.explanation.table import Floats, Ints, Table
from lightseg.explanation.uncertainty import ByUncertainty, entropy
from lightseg.labels import IGNORE
from lightseg.metrics.calibration import Calibration, Reliability, valid_pixels
from lightseg.metrics.object_recall import SIZES

if TYPE_CHECKING:
    from lightseg.data import ImageDataModule
    from lightseg.tasks import Stage, Task


@dataclass(frozen=True)
class Observations:
    """Statistics of a split.

    Attributes:
        kind: What was asked.
        classes: The C class names.
        names: Names of the N images.
        cells: Pixels (or images) by `image`, `truth`, `prediction` and everything else that they are told apart by: the
            columns of `facets.FACETS`, and `part` of the errors for segmentation.
        objects: The true objects by `image`, `truth`, `missed` and the same facets; None for classification.
        entropy: Mean normalised entropy of each image, float64 `(N,)`; NaN where all is void.
        truth_probability: Mean probability of the true class in each image, likewise.
        temperature: What the logits are divided by before they are taken for probabilities.
        reliability: Confidence against correctness, with that temperature.
        uncalibrated: The same without it; None where there is none.
        by_uncertainty: Where the errors are among the uncertain pixels (or images).
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
    def confusion(self) -> Ints:
        """Truth × prediction, int64 `(C, C)`."""
        return self.cells.sums(truth=len(self.classes), prediction=len(self.classes))

    @property
    def wrong(self) -> int:
        """Return how many pixels (or images) are wrong: what is off the diagonal of the confusion matrix."""
        return int(self.confusion.sum() - np.trace(self.confusion))

    @property
    def unit(self) -> str:
        """Return what is right or wrong."""
        return "pixels" if self.kind == "segmentation" else "images"


@torch.inference_mode()
def collect(task: Task, data: ImageDataModule, split: Stage) -> Observations:
    """Ask a task about every image of a split, one at a time, so that the memory is that of one.

    Raises:
        DataError: If no pixel of the split is valid, or a file is broken.
    """
    dataset = data.dataset(split)
    cells, objects, light, sure = [], [], [], []
    calibrated, uncalibrated, by_uncertainty = Calibration(task.temperature), Calibration(), ByUncertainty()
    for index in range(len(dataset)):
        batch = to_device(data.eval_batch(index, split), task.device)
        logits, target = task.logits_at_target(batch).cpu(), batch["target"].cpu()
        calibrated.update(logits, target, batch["index"])
        if task.temperature != 1:
            uncalibrated.update(logits, target, batch["index"])
        light.append(_light(batch["image"][0]))
        sure.append(_sure(by_uncertainty, logits[0] / task.temperature, target[0]))
        if task.kind == "segmentation":
            counted, there = _segmented(target[0].numpy(), logits[0].argmax(0).numpy(), len(task.classes))
            objects.append(there.with_column("image", np.full(len(there), index)))
        else:
            counted = _classified(target[0], logits[0].argmax(0))
        cells.append(counted.with_column("image", np.full(len(counted), index)))
    table = Table.stack(cells)
    if not len(table):
        raise DataError(f"{data.root}: all of the {split} split is void; there is nothing to explain")
    third = {name: thirds(values) for name, values in zip(("brightness", "contrast"), np.array(light).T, strict=True)}
    uncertainty, probability = np.array(sure).T
    return Observations(
        task.kind,
        list(task.classes),
        [dataset.name(index) for index in range(len(dataset))],
        _with_light(table, third),
        _with_light(Table.stack(objects), third) if objects else None,
        uncertainty,
        probability,
        task.temperature,
        Reliability.of(*calibrated.compute()),
        Reliability.of(*uncalibrated.compute()) if task.temperature != 1 else None,
        by_uncertainty,
    )


def _light(image: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of an image, `(C, H, W)`, over its pixels; colours count alike."""
    grey = image.float().mean(0)
    return float(grey.mean()), float(grey.std(correction=0))


def _sure(by_uncertainty: ByUncertainty, logits: Tensor, target: Tensor) -> tuple[float, float]:
    """Count an image by its uncertainty; returns the mean entropy and the mean probability of the true class."""
    valid, truth = valid_pixels(logits, target)
    if not len(truth):
        return float("nan"), float("nan")
    probabilities = valid.T.softmax(0)
    uncertainty = entropy(probabilities)
    by_uncertainty.update(uncertainty, valid.argmax(1) != truth)
    return float(uncertainty.mean()), float(probabilities.gather(0, truth[None]).mean())


def _classified(target: Tensor, prediction: Tensor) -> Table:
    """Return the image, unless it is void."""
    cell = {"truth": int(target), "prediction": int(prediction), "count": 1}
    return Table({name: np.full(int(target != IGNORE), value, np.int64) for name, value in cell.items()})


def _segmented(target: npt.NDArray[Any], prediction: npt.NDArray[Any], classes: int) -> tuple[Table, Table]:
    """Return the pixels of an image, and its objects."""
    valid, parts, size = target != IGNORE, divide_errors(target, prediction), (target.shape[0], target.shape[1])
    rows, columns = np.nonzero(valid)
    columns_of_cells = {
        "truth": target[valid],
        "prediction": prediction[valid],
        **places(rows + 0.5, columns + 0.5, size),
    }
    columns_of_cells |= {"size": parts.size[valid].astype(np.int64), "part": parts.part[valid].astype(np.int64)}
    shape = (classes, classes, 2, 2, 2, len(SIZES), len(PARTS))
    counts = np.bincount(np.ravel_multi_index(tuple(columns_of_cells.values()), shape))
    labels = np.flatnonzero(counts)
    pixels = dict(zip(columns_of_cells, np.unravel_index(labels, shape), strict=True))
    objects = {
        "truth": parts.objects.classes,
        **places(parts.objects.centres[:, 0] + 0.5, parts.objects.centres[:, 1] + 0.5, size),
        "size": parts.sizes,
        "missed": parts.missed.astype(np.int64),
        "count": np.ones(len(parts.missed), np.int64),
    }
    return Table({**pixels, "count": counts[labels]}), Table(objects)


def _with_light(table: Table, third: dict[str, Ints]) -> Table:
    for name, levels in third.items():
        table = table.with_column(name, levels[table["image"]])
    return table
